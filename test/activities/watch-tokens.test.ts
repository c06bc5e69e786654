import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { ActivityDeps } from '../../activities/deps.ts'
import { startDueRotations } from '../../activities/due-rotations.ts'
import { retireTokens } from '../../activities/retire-tokens.ts'
import { watchExpiry } from '../../activities/watch-expiry.ts'
import { listAudit } from '../../src/store/audit.ts'
import { updateBinding } from '../../src/store/bindings.ts'
import { recordApplied } from '../../src/store/deployments.ts'
import { createManualToken } from '../../src/store/manual-tokens.ts'
import { updatePlatform } from '../../src/store/platforms.ts'
import { runOfProfile } from '../../src/store/profile-runs.ts'
import { createProfile, type ProfileRecord } from '../../src/store/profiles.ts'
import { currentRevision } from '../../src/store/revision.ts'
import { getSync, listOpenSyncs } from '../../src/store/syncs.ts'
import { forceFormer, rotateTokensFor, supersedeFormer } from '../../src/store/token-rotation.ts'
import { touchTokens } from '../../src/store/token-uses.ts'
import {
  activeToken,
  activeTokens,
  listTokensOfBinding,
  markTokensProven,
  mintTokenFor,
  mintTokensFor,
  openActiveTokens,
  setCustomToken,
} from '../../src/store/tokens.ts'
import { createWebhook } from '../../src/store/webhooks.ts'
import { at, makeWorld, type World } from '../store/fixtures.ts'
import { type ActivityWorld, openActivityWorld } from './activity-world.ts'

/** The watch on tokens, with a clock that the test steers: what ends, what is said, what is replaced. */

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const GRACE_MS = DAY_MS

let base: ActivityWorld
let deps: ActivityDeps
let world: World
let bindingId = ''

beforeAll(async () => {
  base = await openActivityWorld({ spaces: 0, instances: 0 })
  deps = base.deps
})
afterAll(() => base?.close())

beforeEach(async () => {
  world = await makeWorld(deps.store, { spaces: 2, instances: 1 })
  bindingId = at(world.bindings, 0).id
})

const later = (ms: number) => ({ now: () => Date.now() + ms, sleep: () => Promise.reject(new Error('never sleeps')) })
const retire = (afterMs: number) => base.run(() => retireTokens(deps, later(afterMs)))
const states = async () => (await listTokensOfBinding(deps.store, bindingId)).map(({ state }) => state)
const told = async (resourceId: string) =>
  (await listAudit(deps.store, { resourceId })).items.map(({ action, fields }) => [action, ...fields].join(' '))

/** The platform was seen to hold the tokens that are active now. */
async function seenActive(bindingIds: readonly string[] = [bindingId]): Promise<number> {
  const active = await activeTokens(deps.store, bindingIds)
  const seen = bindingIds.map((id) => ({ bindingId: id, tokenId: active.get(id)?.id ?? '' }))
  return await supersedeFormer(deps.store, seen, 24 * 3600)
}

async function replaced(): Promise<string> {
  const former = await mintTokenFor(deps.store, bindingId)
  await rotateTokensFor(deps.store, [{ bindingId, tokenId: former.id }], {
    graceSeconds: null,
    notBefore: new Date(0),
  })
  return former.id
}

describe('a former token', () => {
  it('stays as long as its platform was not seen to hold the new one', async () => {
    await replaced()
    await retire(100 * DAY_MS)
    expect(await states()).toEqual(['active', 'retiring'])
  })

  it('ends once it has gone unused for the grace period, which is audited', async () => {
    const id = await replaced()
    await seenActive()
    await retire(GRACE_MS - HOUR_MS)
    expect(await states()).toEqual(['active', 'retiring'])
    expect(await retire(GRACE_MS + HOUR_MS)).toMatchObject({ ended: 1 })
    expect(await states()).toEqual(['active', 'revoked'])
    expect(await told(id)).toEqual(['revoke state'])
  })

  it('that is used past it stays, is spoken of once, and ends when it falls silent', async () => {
    const id = await replaced()
    await seenActive()
    await touchTokens(deps.store, [{ tokenId: id, at: new Date(Date.now() + GRACE_MS) }])
    for (const afterMs of [GRACE_MS + HOUR_MS, GRACE_MS + 2 * HOUR_MS]) {
      expect(await retire(afterMs)).toMatchObject({ ended: 0, stillUsed: 1 })
    }
    expect(await told(id)).toEqual(['warn token still_used'])
    expect(await retire(2 * GRACE_MS + HOUR_MS)).toMatchObject({ ended: 1 })
  })

  it('that is used past it is told to webhooks that want it: one message a look, once for each token', async () => {
    const all = world.bindings.map(({ id }) => id)
    const made = await mintTokensFor(deps.store, all)
    const former = all.map((id) => ({ bindingId: id, tokenId: made.get(id)?.id ?? '' }))
    await rotateTokensFor(deps.store, former, { graceSeconds: null, notBefore: new Date(0) })
    const usedAt = new Date(Date.now() + GRACE_MS)
    await touchTokens(
      deps.store,
      former.map(({ tokenId }) => ({ tokenId, at: usedAt })),
    )
    const webhook = await createWebhook(deps.store, {
      name: 'ops',
      url: 'https://hooks.test/',
      events: ['token.still_used'],
      template: null,
      language: null,
      botSecret: null,
      enabled: true,
      signingSecret: 'whsec_Zmlyc3Q=',
    })
    const messages = async () =>
      (await deps.store.db.webhookDelivery.findMany({ where: { webhookId: webhook.id } })).map(
        ({ event, payload }) => [event, JSON.parse(payload).data] as const,
      )
    await seenActive(all.slice(0, 1))
    for (const afterMs of [GRACE_MS + HOUR_MS, GRACE_MS + 2 * HOUR_MS]) await retire(afterMs)
    expect(await messages()).toEqual([
      [
        'token.still_used',
        {
          count: 1,
          tokens: [
            {
              tokenId: former[0]?.tokenId,
              bindingId,
              instanceName: at(world.instances, 0).name,
              spaceName: at(world.spaces, 0).name,
              replacedAt: expect.stringMatching(/^20.*Z$/),
              lastUsedAt: usedAt.toISOString(),
            },
          ],
        },
      ],
    ])
    await seenActive(all)
    await retire(GRACE_MS + 3 * HOUR_MS)
    const told = (await messages()).flatMap(([, { tokens }]) =>
      tokens.map((token: { tokenId: string }) => token.tokenId),
    )
    expect(told.toSorted()).toEqual(former.map(({ tokenId }) => tokenId).toSorted())
    expect(await messages()).toHaveLength(2)
  })

  it('without grace ends as soon as its platform is seen to hold the new one; forced, too', async () => {
    const former = await mintTokenFor(deps.store, bindingId)
    const rotate = { graceSeconds: 0, notBefore: new Date(0) }
    await rotateTokensFor(deps.store, [{ bindingId, tokenId: former.id }], rotate)
    expect(await seenActive()).toBe(1)
    expect(await states()).toEqual(['active', 'revoked'])

    const second = at(await listTokensOfBinding(deps.store, bindingId), 0)
    await rotateTokensFor(deps.store, [{ bindingId, tokenId: second.id }], { ...rotate, graceSeconds: null })
    expect(await forceFormer(deps.store, [bindingId])).toEqual({ ended: 0, revision: null })
    expect(await states()).toEqual(['active', 'retiring', 'revoked'])
    expect(await seenActive()).toBe(1)
    expect(await states()).toEqual(['active', 'revoked', 'revoked'])
  })

  it('stays when the token that was seen on its platform is a former one itself by now', async () => {
    const { id: first } = await mintTokenFor(deps.store, bindingId)
    const rotate = { graceSeconds: 0, notBefore: new Date(0) }
    await rotateTokensFor(deps.store, [{ bindingId, tokenId: first }], rotate)
    const seen = { bindingId, tokenId: (await activeToken(deps.store, bindingId))?.id ?? '' }
    // Another rotation, between the look at the platform and its record.
    await rotateTokensFor(deps.store, [seen], rotate)
    expect(await supersedeFormer(deps.store, [seen], 24 * 3600)).toBe(0)
    const tokens = await listTokensOfBinding(deps.store, bindingId)
    expect(tokens.map(({ state }) => state)).toEqual(['active', 'retiring', 'retiring'])
    expect(tokens.map(({ supersededAt }) => supersededAt)).toEqual([null, null, null])
    expect(await seenActive()).toBe(2)
    expect(await states()).toEqual(['active', 'revoked', 'revoked'])
  })

  it('is asked for, and nothing is written, where none is left', async () => {
    await mintTokenFor(deps.store, bindingId)
    const before = await currentRevision(deps.store.db)
    expect(await seenActive()).toBe(0)
    expect(await currentRevision(deps.store.db)).toBe(before)
  })
})

describe('a second token', () => {
  it('keeps the former one’s end, and is made once however often it is asked for', async () => {
    const expiresAt = new Date('2031-01-01')
    const former = await mintTokenFor(deps.store, bindingId, { expiresAt })
    const ask = () =>
      rotateTokensFor(deps.store, [{ bindingId, tokenId: former.id }], { graceSeconds: null, notBefore: new Date(0) })
    const [one, two] = [(await ask()).get(bindingId), (await ask()).get(bindingId)]
    expect(two?.id).toBe(one?.id)
    expect(one).toMatchObject({ expiresAt, provenAt: null, origin: 'minted' })
    expect((await openActiveTokens(deps.store, [bindingId])).get(bindingId)?.secret).toBe(one?.secret)
    expect(await states()).toEqual(['active', 'retiring'])
  })

  it('is never older than the line that its run draws', async () => {
    const former = await mintTokenFor(deps.store, bindingId)
    const notBefore = new Date(Date.now() + HOUR_MS)
    const made = await rotateTokensFor(deps.store, [{ bindingId, tokenId: former.id }], {
      graceSeconds: null,
      notBefore,
    })
    expect(made.get(bindingId)?.createdAt).toEqual(notBefore)
  })

  it('of the admin’s that comes back is proven anew', async () => {
    const own = 'an-own-token-of-the-admin-8812'
    const first = await setCustomToken(deps.store, bindingId, own)
    await markTokensProven(deps.store, [first.id])
    await setCustomToken(deps.store, bindingId, `${own}-other`)
    const back = await setCustomToken(deps.store, bindingId, own)
    expect(back).toMatchObject({ id: first.id, state: 'active', provenAt: null, retiringAt: null })
  })
})

describe('an expiry', () => {
  const watch = (afterMs = 0) => base.run(() => watchExpiry(deps, later(afterMs)))

  it('of a binding or of a manual token is spoken of 7 days before, a day before, and when it has come; once each', async () => {
    const expiresAt = new Date(Date.now() + 8 * DAY_MS)
    await updateBinding(deps.store, bindingId, null, { expiresAt })
    const manual = await createManualToken(deps.store, {
      instanceId: at(world.instances, 0).id,
      name: 'my client',
      expiresAt,
    })
    for (const days of [0, 0.5, 2, 3, 7.5, 7.6, 8.5, 8.6]) await watch(days * DAY_MS)
    const all = ['warn expiresAt expired', 'warn expiresAt expires_in_1_day', 'warn expiresAt expires_in_7_days']
    expect((await told(bindingId)).sort()).toEqual(all)
    expect((await told(manual.id)).sort()).toEqual(all)
  })

  it('that is put off is spoken of anew; that of a disabled binding is not', async () => {
    const soon = (days: number) => new Date(Date.now() + days * DAY_MS)
    await updateBinding(deps.store, bindingId, null, { expiresAt: soon(3) })
    await updateBinding(deps.store, at(world.bindings, 1).id, null, { expiresAt: soon(3), enabled: false })
    await watch()
    await updateBinding(deps.store, bindingId, null, { expiresAt: soon(4) })
    await watch()
    expect(await told(bindingId)).toHaveLength(2)
    expect(await told(at(world.bindings, 1).id)).toEqual([])
  })
})

describe('old tokens', () => {
  const start = (rotateAfterDays: number | null, afterMs: number) =>
    base.run(() => startDueRotations({ ...deps, limits: { ...deps.limits, rotateAfterDays } }, later(afterMs)))
  const runs = async () => await listOpenSyncs(deps.store, { platformId: world.platform.id })

  beforeEach(async () => {
    const ids = world.bindings.map(({ id }) => id)
    await mintTokensFor(deps.store, ids)
    for (const id of ids) {
      await recordApplied(deps.store, id, {
        syncId: world.platform.id,
        identity: { id: 'remote', key: null },
        digests: { desired: {}, written: {} },
        applied: {},
      })
    }
  })

  it('are left alone unless the installation says so', async () => {
    await start(null, 1000 * DAY_MS)
    await start(30, 29 * DAY_MS)
    expect(await runs()).toEqual([])
  })

  it('get one run a platform and day, which names their cells and the line', async () => {
    await start(30, 31 * DAY_MS)
    await start(30, 31 * DAY_MS)
    const [run, ...more] = await runs()
    expect(more).toEqual([])
    expect(run).toMatchObject({ requestedBy: 'schedule', scheduled: true, state: 'queued' })
    expect(run?.workflowId.startsWith(`rotation-${world.platform.id}-`)).toBe(true)
    const { selection } = (await getSync(deps.store, run?.id ?? '')) ?? {}
    expect(selection?.instanceIds).toEqual(world.instances.map(({ id }) => id))
    expect(selection?.rotate).toMatchObject({ by: 'age' })
    const before = new Date(selection?.rotate?.before ?? 0).getTime()
    expect(Math.round((before - Date.now()) / DAY_MS)).toBe(1)
  })

  it('follow their platform’s age rather than the installation’s', async () => {
    const age = (rotateAfterDays: number | null) =>
      updatePlatform(deps.store, world.platform.id, null, { rotateAfterDays })
    await age(0)
    await start(30, 31 * DAY_MS)
    await age(60)
    await start(30, 59 * DAY_MS)
    expect(await runs()).toEqual([])
    await start(null, 61 * DAY_MS)
    const [run, ...more] = await runs()
    expect([run?.name, more]).toEqual(['Rotate tokens older than 60 days', []])
  })

  it('are a matter of a profile’s runs, too, where it says so; a check replaces nothing', async () => {
    const selection = { instanceIds: 'all' as const, spaceIds: 'all' as const }
    const profile = await createProfile(deps.store, {
      platformId: world.platform.id,
      name: `profile of ${world.platform.id}`,
      selection,
      rotateAfterDays: 30,
    })
    const rotation = async (of: ProfileRecord) => (await runOfProfile(deps.store, of)).run.selection.rotate
    expect(await rotation(profile)).toMatchObject({ by: 'age' })
    expect(await rotation({ ...profile, rotateAfterDays: null })).toBeUndefined()
    const schedule = { action: 'check' as const, intervalMs: HOUR_MS, jitterMs: 0 }
    expect(await rotation({ ...profile, schedule })).toBeUndefined()
  })

  it('of the admin are the admin’s own', async () => {
    for (const [index, { id }] of world.bindings.entries()) {
      await setCustomToken(deps.store, id, `an-own-token-of-the-admin-99${index}-${id.slice(-6)}`)
    }
    await start(30, 31 * DAY_MS)
    expect(await runs()).toEqual([])
  })
})
