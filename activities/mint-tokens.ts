import { ToolferryError, toToolferryError } from '../src/domain/errors.ts'
import { createEgressAgent } from '../src/egress/connector.ts'
import { handshake } from '../src/mcp/handshake.ts'
import { enterPhase } from '../src/store/syncs.ts'
import { markTokensProven, mintTokensFor } from '../src/store/tokens.ts'
import type { SpaceOutcome } from '../workflows/messages.ts'
import type { ActivityDeps } from './deps.ts'
import { gatewayPath } from './desired.ts'
import { inActivity } from './in-activity.ts'
import { outcomeOfSpace } from './outcome.ts'
import { loadSpaceWork, plannedCells, rightOf, type SpaceCell } from './space-work.ts'
import { type Walk, walkTargets } from './walk-targets.ts'

/** Handshakes at the same time in one space. */
const PROOFS_AT_ONCE = 8

/**
 * A token for every binding that lacks one; each new one, minted or given by the admin, is proven by a real MCP handshake
 * through the gateway before any platform is written. A proven token is kept and not tried again.
 */
export async function mintTokens(
  deps: ActivityDeps,
  input: { syncId: string; spaceId: string },
): Promise<SpaceOutcome> {
  return await inActivity(deps.logger, input, async (signal) => {
    const { store } = deps
    const work = await loadSpaceWork(deps, input)
    await enterPhase(store, work.sync, 'mint')
    const cells = plannedCells(work).filter((cell) => cell.binding !== null && cell.token?.proven !== true)
    const minted = await mintMissing(deps, cells)
    const proven: string[] = []
    try {
      const walk: Walk = { work, cells, signal, attempts: 'failures', width: PROOFS_AT_ONCE }
      const interrupted = await withProver(deps, signal, (prove) =>
        walkTargets(deps, walk, async (cell) => {
          // Cut off since the plan: the write skips it, and no token is made or proven for it.
          const token = cell.token ?? minted.get(cell.key)
          if (token === undefined || rightOf(cell) !== 'granted') return
          await prove(cell, token.value)
          proven.push(token.id)
        }),
      )
      await markTokensProven(store, proven.splice(0))
      return await outcomeOfSpace(store, input, interrupted)
    } finally {
      await markTokensProven(store, proven)
    }
  })
}

/** By cell. In one transaction, so that the gateways have one change to follow and not one a token. */
async function mintMissing(
  deps: ActivityDeps,
  cells: readonly SpaceCell[],
): Promise<Map<string, { id: string; value: string }>> {
  const lacking = cells.filter((cell) => cell.token === null && rightOf(cell) === 'granted')
  const minted = await mintTokensFor(
    deps.store,
    lacking.flatMap((cell) => (cell.binding === null ? [] : [cell.binding.id])),
  )
  return new Map([...minted].map(([bindingId, token]) => [bindingId, { id: token.id, value: token.secret }]))
}

type Prove = (cell: SpaceCell, token: string) => Promise<void>

/**
 * Proves tokens over a few shared connections. A server that shook hands the old way before is not asked for the new way
 * first; if it has learnt it meanwhile, it is asked again.
 */
async function withProver<T>(deps: ActivityDeps, signal: AbortSignal, work: (prove: Prove) => Promise<T>): Promise<T> {
  const origin = deps.gatewayUrl()
  const egress = deps.egress.forOwnGateway(origin)
  const legacy = legacyServers.get(deps) ?? new Set<string>()
  legacyServers.set(deps, legacy)
  const agent = createEgressAgent(egress)
  const shakeHands = async ({ instance }: SpaceCell, token: string, generation: { generation?: 'legacy' }) =>
    await handshake({
      url: `${origin}${gatewayPath(instance.id, instance.transport)}`,
      transport: instance.transport,
      headers: { Authorization: `Bearer ${token}` },
      egress,
      agent,
      signal,
      timeoutMs: deps.limits.mcpTimeoutMs,
      ...generation,
    })
  const prove: Prove = async (cell, token) => {
    const { id, name } = cell.instance
    try {
      if (legacy.delete(id)) {
        const known = await shakeHands(cell, token, { generation: 'legacy' }).catch(() => null)
        signal.throwIfAborted()
        if (known !== null) return void legacy.add(id)
      }
      const { protocolVersion } = await shakeHands(cell, token, {})
      if (protocolVersion < FIRST_OF_THE_NEW) legacy.add(id)
    } catch (thrown) {
      signal.throwIfAborted()
      throw asProofFailure(toToolferryError(thrown), name)
    }
  }
  try {
    return await work(prove)
  } finally {
    await agent.destroy()
  }
}

/** Revisions are dates; this one came without the initialize handshake. */
const FIRST_OF_THE_NEW = '2026-07-28'
/** By instance: a hint of this process, which may be wrong. */
const legacyServers = new WeakMap<ActivityDeps, Set<string>>()

/** The server answered us directly a moment ago (discoverTools), so a refusal here is the gateway's. */
function asProofFailure(error: ToolferryError, instanceName: string): ToolferryError {
  const message = `The token for «${instanceName}» could not be proven through the gateway. ${error.message}`
  const type = error.type === 'UpstreamUnauthorized' ? 'UpstreamUnreachable' : error.type
  return new ToolferryError(type, message, { cause: error })
}
