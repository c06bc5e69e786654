import type { Fault as CozeFault } from '../../demo/coze-simulator/fault-types.ts'
import { createRandom, type Random } from './random.ts'

/** What the world is made of: how many of each, so that a fault can name one by its number. */
export type Size = { instances: number; workspaces: number; cozeSpaces: number }

export const FAULT_KINDS = [
  'worker-killed',
  'api-killed',
  'gateway-killed',
  'temporal-killed',
  'dify-fault',
  'coze-fault',
  'concurrent-syncs',
  'admin-toggles',
] as const
export type FaultKind = (typeof FAULT_KINDS)[number]

/** A run to start. Numbers are indexes into the world's instances, and into the platform's spaces. */
export type PlannedRun = {
  platform: 'dify' | 'coze'
  instances: number[]
  spaces: number[]
  action: 'sync' | 'remove'
  dryRun: boolean
  /** Gives every cell another token: then there is something to write. */
  newTokens: boolean
}

export type DifyTrouble =
  /** Every open connection is cut. */
  | { what: 'cut' }
  /** Connection refused, silence, or only new connections are silent. */
  | { what: 'refuse' | 'stall' | 'stall-new'; forMs: number }
  /** The connection is cut once this has gone to the database: nobody hears what became of it. */
  | { what: 'cut-after'; text: string }
  /** Somebody else's transaction keeps the table of providers. */
  | { what: 'lock'; forMs: number }

export type CozeTrouble = { endpoint: string; times: number; fault: CozeFault }

export type AdminWish =
  | { what: 'space'; platform: 'dify' | 'coze'; space: number; enabled: boolean }
  | { what: 'binding'; platform: 'dify' | 'coze'; space: number; instance: number; enabled: boolean }

/** One fault; `gapMs` is how long the one before had the stage to itself. */
export type PlannedFault = { gapMs: number } & (
  | { kind: 'worker-killed' | 'api-killed' | 'gateway-killed'; which: number; both: boolean; awayMs: number }
  | { kind: 'temporal-killed' }
  | { kind: 'dify-fault'; trouble: DifyTrouble }
  | { kind: 'coze-fault'; trouble: CozeTrouble }
  | { kind: 'concurrent-syncs'; runs: PlannedRun[] }
  | { kind: 'admin-toggles'; wishes: AdminWish[] }
)

/** The faults of a seed: as many of each kind as of any other, in an order of the seed's. Pure. */
export function planFaults(seed: number, count: number, size: Size): PlannedFault[] {
  const random = createRandom(seed)
  const faults: PlannedFault[] = []
  while (faults.length < count) {
    const block = random.shuffled(FAULT_KINDS)
    // The first of all is work, or there would be nothing to disturb.
    if (faults.length === 0) block.sort((a, b) => Number(b === 'concurrent-syncs') - Number(a === 'concurrent-syncs'))
    for (const kind of block) faults.push(planFault(random, kind, size))
  }
  return faults.slice(0, count)
}

function planFault(random: Random, kind: FaultKind, size: Size): PlannedFault {
  const gapMs = random.between(100, 1_500)
  switch (kind) {
    case 'worker-killed':
    case 'api-killed':
    case 'gateway-killed':
      return { gapMs, kind, which: random.between(0, 1), both: random.chance(0.25), awayMs: random.between(0, 2_000) }
    case 'temporal-killed':
      return { gapMs, kind }
    case 'dify-fault':
      return { gapMs, kind, trouble: difyTrouble(random) }
    case 'coze-fault':
      return { gapMs, kind, trouble: cozeTrouble(random) }
    case 'concurrent-syncs':
      return { gapMs, kind, runs: Array.from({ length: random.between(2, 3) }, () => plannedRun(random, size)) }
    case 'admin-toggles':
      return { gapMs, kind, wishes: Array.from({ length: random.between(1, 3) }, () => adminWish(random, size)) }
  }
}

function difyTrouble(random: Random): DifyTrouble {
  const forMs = random.between(300, 4_000)
  return random.pick<DifyTrouble>([
    { what: 'cut' },
    { what: 'refuse', forMs },
    { what: 'stall', forMs },
    { what: 'stall-new', forMs },
    { what: 'cut-after', text: 'INSERT INTO tool_mcp_providers' },
    { what: 'cut-after', text: 'UPDATE tool_mcp_providers' },
    { what: 'cut-after', text: 'COMMIT' },
    { what: 'lock', forMs },
  ])
}

const COZE_ENDPOINTS = [
  'library_resource_list',
  'get_plugin_info',
  'register_plugin_meta',
  'update_plugin_meta',
  'refresh_mcp_plugin_apis',
  'get_plugin_next_version',
  'publish_plugin',
  'get_playground_plugin_list',
  'del_plugin',
  '*',
]

function cozeTrouble(random: Random): CozeTrouble {
  const fault = random.pick<CozeFault>([
    { kind: 'lost-request' },
    { kind: 'lost-response' },
    { kind: 'lost-response' },
    { kind: 'rate-limited', retryAfter: random.between(1, 3) },
    { kind: 'server-error' },
    { kind: 'server-error', applied: true },
    { kind: 'server-error', status: 502, body: 'html' },
    { kind: 'invalid-json', applied: true },
    { kind: 'truncated-json' },
    { kind: 'index-lag', ms: random.between(2_000, 6_000) },
    { kind: 'session-lost', shape: random.pick(['code', 'unauthorized', 'redirect', 'html', 'risk'] as const) },
    { kind: 'version-conflict' },
    { kind: 'mcp-unreachable' },
    { kind: 'publish-unseen', reads: 2 },
    { kind: 'lock-held', forMs: random.between(1_000, 6_000) },
  ])
  return { endpoint: random.pick(COZE_ENDPOINTS), times: random.between(1, 2), fault }
}

function plannedRun(random: Random, size: Size): PlannedRun {
  const platform = random.chance(0.6) ? 'dify' : 'coze'
  const [instances, spaces] =
    platform === 'dify' ? [size.instances, size.workspaces] : [size.instances, size.cozeSpaces]
  // COZE is called twice a second: two cells at most, or the runs would only queue.
  const most = platform === 'dify' ? Number.POSITIVE_INFINITY : 2
  const some = (count: number, atMost: number) => {
    const all = random.shuffled(Array.from({ length: count }, (_, index) => index))
    return all.slice(0, random.between(1, Math.min(count, atMost)))
  }
  const chosen = some(instances, most)
  const action = random.chance(0.12) ? 'remove' : 'sync'
  return {
    platform,
    instances: chosen,
    spaces: some(spaces, Math.max(1, most / chosen.length)),
    action,
    dryRun: random.chance(0.08),
    newTokens: action === 'sync' && random.chance(0.7),
  }
}

function adminWish(random: Random, size: Size): AdminWish {
  const platform = random.pick(['dify', 'coze'] as const)
  const space = random.between(0, (platform === 'dify' ? size.workspaces : size.cozeSpaces) - 1)
  const enabled = random.chance(0.55)
  if (random.chance(0.5)) return { what: 'space', platform, space, enabled }
  return { what: 'binding', platform, space, instance: random.between(0, size.instances - 1), enabled }
}

/** One line for people. */
export function describeFault(fault: PlannedFault): string {
  switch (fault.kind) {
    case 'worker-killed':
    case 'api-killed':
    case 'gateway-killed':
      return `${fault.both ? 'both' : `number ${fault.which + 1}`}, away ${fault.awayMs} ms more`
    case 'temporal-killed':
      return 'started again on its files'
    case 'dify-fault': {
      const { trouble } = fault
      return `${trouble.what}${'forMs' in trouble ? ` for ${trouble.forMs} ms` : ''}${'text' in trouble ? ` ${trouble.text}` : ''}`
    }
    case 'coze-fault': {
      const { kind, ...details } = fault.trouble.fault
      return `${kind} ${JSON.stringify(details)} at ${fault.trouble.endpoint} × ${fault.trouble.times}`
    }
    case 'concurrent-syncs':
      return fault.runs
        .map(
          ({ platform, instances, spaces, action, dryRun, newTokens }) =>
            `${platform} ${dryRun ? 'plan' : action} ${instances.length}×${spaces.length}${newTokens ? ' new tokens' : ''}`,
        )
        .join(', ')
    case 'admin-toggles':
      return fault.wishes
        .map(
          (wish) =>
            `${wish.enabled ? 'enable' : 'disable'} ${wish.platform} space ${wish.space + 1}${wish.what === 'binding' ? ` × instance ${wish.instance + 1}` : ''}`,
        )
        .join(', ')
  }
}
