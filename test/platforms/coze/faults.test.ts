import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Fault } from '../../../demo/coze-simulator/fault-types.ts'
import type { SessionLoss } from '../../../demo/coze-simulator/options.ts'
import { ToolferryError } from '../../../src/domain/errors.ts'
import type { Platform } from '../../../src/platforms/platform.ts'
import { CellRecord } from './cell.ts'
import { settle, standing } from './settle.ts'
import { type CozeWorld, desiredObject, never, openCozeWorld } from './world.ts'

let world: CozeWorld
let space: { spaceId: string; remoteId: string }
beforeEach(async () => {
  world = await openCozeWorld()
  space = { spaceId: 'space', remoteId: world.simulator.addSpace({ ownerId: world.account.userId, name: '研发' }) }
})
afterEach(async () => {
  await world.close()
})

const FIRST = desiredObject().authorization
const SECOND = 'Bearer tfg_second0000000000000000000000000000000000'
const CREATE = [
  'library_resource_list',
  'register_plugin_meta',
  'refresh_mcp_plugin_apis',
  'get_plugin_next_version',
  'publish_plugin',
  'get_playground_plugin_list',
]
const UPDATE = [
  'library_resource_list',
  'get_plugin_info',
  'check_and_lock_plugin_edit',
  'update_plugin_meta',
  'refresh_mcp_plugin_apis',
  'get_plugin_next_version',
  'publish_plugin',
  'unlock_plugin_edit',
  'get_playground_plugin_list',
]

/** What a call may meet, and what a run says of it on the way; null = nothing, it is cleared up in the call. */
const FAULTS: [string, Fault][] = [
  ['a lost request', { kind: 'lost-request' }],
  ['a lost response', { kind: 'lost-response' }],
  ['429 with Retry-After', { kind: 'rate-limited', retryAfter: 7 }],
  ['429 without', { kind: 'rate-limited', retryAfter: null }],
  ['429 for minutes', { kind: 'rate-limited', retryAfter: 300 }],
  ['500', { kind: 'server-error' }],
  ['500, though it was done', { kind: 'server-error', applied: true }],
  ['502 with a page', { kind: 'server-error', status: 502, body: 'html' }],
  ['a page', { kind: 'html' }],
  ['a page, though it was done', { kind: 'html', applied: true }],
  ['no JSON', { kind: 'invalid-json' }],
  ['no JSON, though it was done', { kind: 'invalid-json', applied: true }],
  ['half a JSON', { kind: 'truncated-json' }],
  ['JSON without a code', { kind: 'business-error', code: undefined as never, msg: '' }],
  ['the end of the session', { kind: 'session-lost' }],
  ['an index that lags', { kind: 'index-lag', ms: 20_000 }],
  ['repeated items', { kind: 'duplicate-pages' }],
  ['a cursor that stands still', { kind: 'stuck-cursor' }],
  ['`message` for `msg`', { kind: 'message-field' }],
  ['ids as numbers', { kind: 'numeric-ids' }],
  ['an empty auth_type', { kind: 'empty-auth-type' }],
  ['no meta_info', { kind: 'no-meta-info' }],
]

/** Of a whole run with one fault, the looking for a lost plugin included. */
const MOST_CALLS = 40

function cells(record: CellRecord, authorization: string) {
  return [{ record, desired: desiredObject({ authorization }) }]
}

async function create() {
  const record = new CellRecord('a')
  const platform = world.open()
  expect(await settle(world, space, cells(record, FIRST), platform)).toEqual({ met: [], ended: 'right' })
  world.clock.advance(120_000)
  world.simulator.resetCalls()
  return { record, platform }
}

/** One fault costs one call more of its kind; what was done is not done again, but for what may be repeated. */
function expectFewWrites(): void {
  const { calls } = world.simulator
  for (const endpoint of ['update_plugin_meta', 'refresh_mcp_plugin_apis', 'publish_plugin']) {
    expect(calls({ endpoint }).length, endpoint).toBeLessThanOrEqual(2)
  }
  expect(calls().length).toBeLessThanOrEqual(MOST_CALLS)
}

const WHOLE = { published: true, changedSince: false, tools: 2, locked: false }

describe('whatever a call meets once, a new plugin ends as one, published', () => {
  for (const endpoint of CREATE) {
    it.each(FAULTS)(`${endpoint}: %s`, async (_what, fault) => {
      const struck = world.simulator.faults.add({ endpoint, fault })
      const record = new CellRecord('a')
      const result = await settle(world, space, cells(record, FIRST), world.open())
      expect({ ...result, now: standing(world, space) }).toEqual({
        met: result.met,
        ended: 'right',
        now: [{ ...WHOLE, authorization: FIRST }],
      })
      const registered = world.simulator.calls({ endpoint: 'register_plugin_meta' })
      expect(registered.filter((call) => call.changed)).toHaveLength(1)
      expect(registered.length).toBeLessThanOrEqual(2)
      expect(result.met.length).toBeLessThanOrEqual(1)
      expect(struck.hits()).toBe(1)
      expectFewWrites()
    })
  }
})

describe('whatever a call meets once, a changed plugin ends as desired, published', () => {
  for (const endpoint of UPDATE) {
    it.each(FAULTS)(`${endpoint}: %s`, async (_what, fault) => {
      const { record, platform } = await create()
      const struck = world.simulator.faults.add({ endpoint, fault })
      const result = await settle(world, space, cells(record, SECOND), platform)
      expect({ ...result, now: standing(world, space) }).toEqual({
        met: result.met,
        ended: 'right',
        now: [{ ...WHOLE, locked: expect.any(Boolean), authorization: SECOND }],
      })
      expect(world.simulator.calls({ endpoint: 'register_plugin_meta' })).toEqual([])
      expect(result.met.length).toBeLessThanOrEqual(1)
      expect(struck.hits()).toBe(1)
      expectFewWrites()
    })
  }
})

const REMOVE = ['get_plugin_info', 'library_resource_list', 'del_plugin']

describe('whatever a call meets once, a plugin that is to go is gone in the end', () => {
  for (const endpoint of REMOVE) {
    it.each(FAULTS)(`${endpoint}: %s`, async (_what, fault) => {
      const { record } = await create()
      const pluginId = record.identity?.id ?? ''
      const struck = world.simulator.faults.add({ endpoint, fault })
      // A new process, which has nothing in mind of the space.
      const met = await settleRemoval(pluginId, world.open())
      expect(struck.hits()).toBe(1)
      expect(met.length).toBeLessThanOrEqual(1)
      expect(world.simulator.plugins(space.remoteId)).toEqual([])
      const deletions = world.simulator.calls({ endpoint: 'del_plugin' })
      expect(deletions.filter((call) => call.changed)).toHaveLength(1)
      expect(deletions.length).toBeLessThanOrEqual(2)
    })
  }

  /** As the product does: tries again what may help, gives a new cookie where it waits for one. Answers what was met. */
  async function settleRemoval(pluginId: string, first: Platform): Promise<string[]> {
    const met: string[] = []
    for (let platform = first; met.length < 5; ) {
      try {
        await using writer = await platform.openSpace(space, { signal: never(), fence: async () => {} })
        await writer.remove({ id: pluginId, key: null })
        return met
      } catch (error) {
        if (!(error instanceof ToolferryError) || (!error.facts.retryable && !error.facts.waitsForCredential))
          throw error
        met.push(error.type)
        if (error.facts.waitsForCredential)
          platform = world.open({ cookie: world.simulator.login(world.account.userId) })
        world.clock.advance(error.retryAfterMs ?? 5_000)
      }
    }
    return met
  }
})

describe('whatever a call meets once, a check finds all spaces or says what is wrong', () => {
  for (const endpoint of ['list_enterprises', 'search_organization', 'space/list']) {
    it.each(FAULTS)(`${endpoint}: %s`, async (what, fault) => {
      const { simulator, account } = world
      const { enterpriseId } = simulator.addEnterprise({ name: '企业' })
      simulator.joinEnterprise(account.userId, enterpriseId)
      simulator.addSpace({ ownerId: account.userId, name: '团队', enterpriseId })
      simulator.resetCalls()
      const struck = simulator.faults.add({ endpoint, fault })
      const settings = { accountType: 'team' as const, enterpriseId, userId: null }
      const found = await world.open({ settings }).check({ signal: never() })
      const refused = /^(the end of the session|a page|429 for minutes)/.test(what)
      if (refused && !found.ok) {
        expect(['CredentialExpired', 'RateLimited']).toContain(found.error?.type)
        expect(found.error?.message.length).toBeGreaterThan(20)
      } else {
        expect(found).toMatchObject({ ok: true, spaces: 1 })
      }
      expect(struck.hits()).toBe(1)
      expect(simulator.calls().length).toBeLessThanOrEqual(7)
    })
  }
})

describe('a session that ends in mid-run is told in its shape', () => {
  it.each<[SessionLoss, string]>([
    ['code', 'CredentialExpired'],
    ['unauthorized', 'CredentialExpired'],
    ['redirect', 'CredentialExpired'],
    ['html', 'CredentialExpired'],
    ['human-verification', 'HumanVerificationNeeded'],
    ['human-verification-json', 'HumanVerificationNeeded'],
    ['risk', 'HumanVerificationNeeded'],
    ['region', 'Forbidden'],
  ])('%s: %s', async (shape, type) => {
    for (const endpoint of CREATE) {
      const record = new CellRecord(endpoint)
      world.simulator.faults.add({ endpoint, fault: { kind: 'session-lost', shape, lasting: false } })
      const result = await settle(world, space, cells(record, FIRST), world.open())
      expect(result.met[0], endpoint).toBe(type)
      expect(result.ended).toBe(type === 'Forbidden' ? 'failed' : 'right')
      for (const plugin of world.simulator.plugins(space.remoteId)) world.simulator.deletePlugin(plugin.pluginId)
      world.clock.advance(60_000)
    }
  })

  it('nothing more is sent with a cookie that was refused', async () => {
    world.simulator.loseSession({ userId: world.account.userId })
    const platform = world.open()
    const signal = new AbortController().signal
    for (let times = 0; times < 5; times++) {
      await expect(platform.listSpaces({ signal })).rejects.toMatchObject({ type: 'CredentialExpired' })
    }
    expect(world.simulator.calls()).toHaveLength(1)
  })
})

describe('register, when nobody knows', () => {
  it.each([
    ['the answer is lost and the index lags for 25 s', 25_000],
    ['the answer is lost and the index is quick', 0],
  ])('%s: found, not made again', async (_what, ms) => {
    world.simulator.faults.add({ endpoint: 'register_plugin_meta', fault: { kind: 'lost-response' } })
    if (ms > 0) world.simulator.faults.add({ endpoint: 'register_plugin_meta', fault: { kind: 'index-lag', ms } })
    const result = await settle(world, space, cells(new CellRecord('a'), FIRST), world.open())
    expect(result).toEqual({ met: [], ended: 'right' })
    expect(world.simulator.calls({ endpoint: 'register_plugin_meta' })).toHaveLength(1)
  })

  it('the answer is lost and its details are not there at once: found, not made again', async () => {
    world.simulator.faults.add({ endpoint: 'register_plugin_meta', fault: { kind: 'lost-response' } })
    const unknown = { kind: 'business-error', code: 109000005, msg: 'record not found' } as const
    world.simulator.faults.add({ endpoint: 'get_plugin_info', fault: unknown })
    const result = await settle(world, space, cells(new CellRecord('a'), FIRST), world.open())
    expect(result).toEqual({ met: [], ended: 'right' })
    expect(standing(world, space)).toEqual([{ ...WHOLE, authorization: FIRST }])
  })

  it('two lost requests in a row: a third attempt of the run ends it', async () => {
    world.simulator.faults.add({ endpoint: 'register_plugin_meta', times: 2, fault: { kind: 'lost-request' } })
    const result = await settle(world, space, cells(new CellRecord('a'), FIRST), world.open())
    expect(result.ended).toBe('right')
    expect(standing(world, space)).toHaveLength(1)
  })

  it('a foreign plugin of the same name is not taken for ours', async () => {
    world.simulator.addForeignPlugin({
      spaceId: space.remoteId,
      name: '天气',
      pluginType: 11,
      url: 'https://o.test/mcp',
    })
    world.simulator.faults.add({ endpoint: 'register_plugin_meta', fault: { kind: 'lost-request' } })
    const record = new CellRecord('a')
    expect(await settle(world, space, cells(record, FIRST), world.open())).toMatchObject({ ended: 'right' })
    expect(world.simulator.plugin(record.identity?.id ?? '').foreign).toBe(false)
  })

  it('a name that only our own lost plugin has is not given a number', async () => {
    world.simulator.switches.duplicateNames = 'refused'
    world.simulator.faults.add({ endpoint: 'register_plugin_meta', fault: { kind: 'lost-response' } })
    world.simulator.faults.add({ endpoint: 'register_plugin_meta', fault: { kind: 'index-lag', ms: 45_000 } })
    const result = await settle(world, space, cells(new CellRecord('a'), FIRST), world.open())
    expect(result.ended).toBe('right')
    expect(standing(world, space)).toHaveLength(1)
  })

  it('what the content check refuses is said by its code and words, and nothing is looked for later', async () => {
    const record = new CellRecord('a')
    const desired = desiredObject({ description: '违禁词' })
    const result = await settle(world, space, [{ record, desired }], world.open())
    expect(result).toEqual({ met: ['InvalidDesiredState'], ended: 'failed' })
    expect(record.checkpoint).toBeNull()
  })
})

describe('other people in COZE’s editor', () => {
  it('somebody’s edit at the same time is read, respected, and written around', async () => {
    const { record, platform } = await create()
    world.simulator.faults.add({ endpoint: 'update_plugin_meta', fault: { kind: 'version-conflict' } })
    expect(await settle(world, space, cells(record, SECOND), platform)).toEqual({ met: [], ended: 'right' })
    expect(standing(world, space)).toEqual([{ ...WHOLE, authorization: SECOND }])
  })

  it.each(['check_and_lock_plugin_edit', 'update_plugin_meta'])(
    'a lock that stays, met at %s, is a conflict',
    async (endpoint) => {
      const { record, platform } = await create()
      const other = world.simulator.addAccount({ name: '李四' })
      world.simulator.setRole(space.remoteId, other.userId, 2)
      world.simulator.faults.add({ endpoint, fault: { kind: 'lock-held', userId: other.userId } })
      expect(await settle(world, space, cells(record, SECOND), platform)).toEqual({
        met: ['Conflict'],
        ended: 'failed',
      })
      expect(standing(world, space)).toMatchObject([{ authorization: FIRST, published: true }])
    },
  )
})

describe('publishing', () => {
  it('said to be done, but not done, is seen by what agents send, and made up for', async () => {
    const { record, platform } = await create()
    const nothing = { kind: 'business-error', code: 0, msg: '' } as const
    world.simulator.faults.add({ endpoint: 'publish_plugin', fault: nothing })
    const result = await settle(world, space, cells(record, SECOND), platform)
    expect(result).toEqual({ met: ['drift published'], ended: 'failed' })
    expect(standing(world, space)).toMatchObject([{ authorization: FIRST }])
    // Another process has nothing in mind of it.
    expect(await settle(world, space, cells(record, SECOND), world.open())).toEqual({ met: [], ended: 'right' })
    expect(standing(world, space)).toEqual([{ ...WHOLE, authorization: SECOND }])
  })

  it('accepted but not seen yet is waited for', async () => {
    const { record, platform } = await create()
    world.simulator.faults.add({ endpoint: 'publish_plugin', fault: { kind: 'publish-unseen', reads: 3 } })
    expect(await settle(world, space, cells(record, SECOND), platform)).toEqual({ met: [], ended: 'right' })
    expect(standing(world, space)).toEqual([{ ...WHOLE, authorization: SECOND }])
  })

  it('a version lower than somebody’s own by hand is raised', async () => {
    const { record, platform } = await create()
    const pluginId = record.identity?.id ?? ''
    world.simulator.editPlugin(pluginId, { iconUri: 'plugin_icon/other.png' })
    world.simulator.publishPlugin(pluginId, 'v3.1.4')
    world.simulator.faults.add({
      endpoint: 'get_plugin_next_version',
      times: Number.POSITIVE_INFINITY,
      fault: { kind: 'business-error', code: 109000005, msg: 'record not found' },
    })
    expect(await settle(world, space, cells(record, SECOND), platform)).toEqual({ met: [], ended: 'right' })
    expect(world.simulator.plugin(pluginId).online?.versionName).toBe('v3.1.5')
  })

  it('of no tools at all is a failure about the MCP server', async () => {
    world.simulator.faults.add({
      endpoint: 'refresh_mcp_plugin_apis',
      times: Number.POSITIVE_INFINITY,
      fault: { kind: 'no-tools' },
    })
    const result = await settle(world, space, cells(new CellRecord('a'), FIRST), world.open())
    expect(new Set(result.met)).toEqual(new Set(['UpstreamUnreachable']))
    expect(world.simulator.plugins(space.remoteId)).toHaveLength(1)
  })
})

it.each(['exact', 'empty', 'ignored', 'refused'] as const)(
  'a filter for MCP plugins that is %s changes no result',
  async (filter) => {
    world.simulator.switches.subTypeFilter = filter
    world.simulator.addForeignPlugin({ spaceId: space.remoteId, name: 'Other', pluginType: 1 })
    const { record, platform } = await create()
    expect(await settle(world, space, cells(record, FIRST), platform)).toEqual({ met: [], ended: 'right' })
    expect(world.simulator.calls({ writes: true })).toEqual([])
    expect(await settle(world, space, cells(record, SECOND), platform)).toEqual({ met: [], ended: 'right' })
  },
)
