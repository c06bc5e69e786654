import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ActivityDeps } from '../../activities/deps.ts'
import { watchCredentials } from '../../activities/watch-credentials.ts'
import type { SteeredClock } from '../../demo/coze-simulator/clock.ts'
import { ToolferryError } from '../../src/domain/errors.ts'
import { listAudit } from '../../src/store/audit.ts'
import {
  createPlatform,
  deletePlatform,
  getPlatform,
  openCredential,
  type PlatformRecord,
  setCredential,
} from '../../src/store/platforms.ts'
import { type CozeWorld, openCozeWorld } from '../platforms/coze/world.ts'
import { unique } from '../store/fixtures.ts'
import { type ActivityWorld, openActivityWorld } from './activity-world.ts'

/** The watch on cookies: a real store, a COZE that checks them, and one clock for all, which the test steers. */

const DAY_MS = 24 * 3_600_000
const DAY_S = 24 * 3600

let world: ActivityWorld
let coze: CozeWorld
let clock: SteeredClock
let deps: ActivityDeps

beforeAll(async () => {
  ;[world, coze] = await Promise.all([openActivityWorld({ spaces: 0, instances: 0 }), openCozeWorld()])
  clock = coze.clock
  deps = {
    ...world.deps,
    async holdPlatform(platformId) {
      const opened = await openCredential(world.deps.store, platformId)
      const cookie = opened?.credential.cookie
      if (cookie === undefined) throw new ToolferryError('CredentialRefused', 'There is no cookie.')
      const platform = coze.open({ cookie })
      return { platform, [Symbol.asyncDispose]: () => platform.close() }
    },
  }
})
afterAll(async () => {
  await coze?.close()
  await world?.close()
})

async function newPlatform(cookie: string): Promise<PlatformRecord> {
  return await createPlatform(deps.store, {
    kind: 'coze',
    name: unique('COZE'),
    remoteKey: randomBytes(32).toString('hex'),
    settings: { ...coze.settings },
    credential: { cookie },
  })
}

const newCookie = (ttlS: number) => coze.simulator.login(coze.account.userId, { ttlS })
const now = { now: () => clock.nowMs(), sleep: () => Promise.reject(new Error('nothing sleeps here')) }
const watch = () => world.run(() => watchCredentials(deps, now))
const stands = async ({ id }: PlatformRecord) => await getPlatform(deps.store, id)
const told = async ({ id }: PlatformRecord) =>
  (await listAudit(deps.store, { resource: 'platform', resourceId: id })).items
    .map(({ action, fields }) => [action, ...fields].join(' '))
    .reverse()

/** What the log says of a platform. */
const logged = ({ id }: PlatformRecord) =>
  world.lines.flatMap(({ fields }) =>
    'platformId' in fields && fields.platformId === id && 'notice' in fields ? [fields.notice] : [],
  )

describe('the watch on credentials', () => {
  it('keeps state and end of a cookie, and says each of the thresholds once', async () => {
    const platform = await newPlatform(newCookie(9 * DAY_S))
    const endsMs = clock.nowMs() + 9 * DAY_MS
    expect(await watch()).toEqual({ valid: 1, ended: 0, unknown: 0, warned: 0 })
    expect(await stands(platform)).toMatchObject({ credentialState: 'valid' })
    // sid_guard counts in seconds.
    expect(Math.abs(((await stands(platform))?.credentialExpiresAt?.getTime() ?? 0) - endsMs)).toBeLessThan(1000)
    const steps = [
      [3, 'valid', ['expires_in_7_days']],
      [5.5, 'valid', ['expires_in_7_days', 'expires_in_1_day']],
      [1, 'expired', ['expires_in_7_days', 'expires_in_1_day', 'expired']],
    ] as const
    for (const [days, state, notices] of steps) {
      clock.advance(days * DAY_MS)
      expect((await watch()).warned).toBe(1)
      expect((await watch()).warned).toBe(0)
      expect((await stands(platform))?.credentialState).toBe(state)
      expect(logged(platform)).toEqual(notices)
      expect(await told(platform)).toEqual(notices.map((notice) => `warn credential ${notice}`))
    }
    // A new cookie is a new matter.
    await setCredential(deps.store, platform.id, { credential: { cookie: newCookie(2 * DAY_S) } })
    expect(await watch()).toEqual({ valid: 1, ended: 0, unknown: 0, warned: 1 })
    expect(logged(platform)).toEqual([...steps[2][2], 'expires_in_7_days'])
    await deletePlatform(deps.store, platform.id)
  })

  it('sees a session that was ended long before its date', async () => {
    const cookie = newCookie(60 * DAY_S)
    const platform = await newPlatform(cookie)
    await watch()
    coze.simulator.loseSession({ cookie })
    expect(await watch()).toEqual({ valid: 0, ended: 1, unknown: 0, warned: 1 })
    expect(await stands(platform)).toMatchObject({ credentialState: 'expired' })
    expect((await watch()).warned).toBe(0)
    expect(logged(platform)).toEqual(['expired'])
    await deletePlatform(deps.store, platform.id)
  })

  it('judges nothing by a COZE that does not answer, and goes on with the others; the date still warns', async () => {
    const [away, there] = [await newPlatform(newCookie(60 * DAY_S)), await newPlatform(newCookie(0.5 * DAY_S))]
    await watch()
    const broken: ActivityDeps = {
      ...deps,
      holdPlatform: (id) =>
        id === away.id ? Promise.reject(new ToolferryError('Unavailable', 'nobody there')) : deps.holdPlatform(id),
    }
    clock.advance(54 * DAY_MS)
    expect(await world.run(() => watchCredentials(broken, now))).toEqual({
      valid: 0,
      ended: 1,
      unknown: 1,
      warned: 2,
    })
    expect(await stands(away)).toMatchObject({ credentialState: 'valid' })
    expect(logged(away)).toEqual(['expires_in_7_days'])
    expect(logged(there)).toEqual(['expires_in_1_day', 'expired'])
    for (const { id } of [away, there]) await deletePlatform(deps.store, id)
  })

  it('leaves those alone that have no credential or one without an end, and writes no cookie anywhere', async () => {
    coze.simulator.resetCalls()
    expect(await watch()).toEqual({ valid: 0, ended: 0, unknown: 0, warned: 0 })
    expect(coze.simulator.calls()).toEqual([])
    expect(JSON.stringify(world.lines)).not.toContain('sessionid')
  })
})
