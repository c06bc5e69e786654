import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { MASK } from '../../src/api/schemas.ts'
import { findBindings, openBindings } from '../../src/store/bindings.ts'
import { updateInstance } from '../../src/store/instances.ts'
import { upsertSpaces } from '../../src/store/spaces.ts'
import { appendSyncEvent } from '../../src/store/sync-events.ts'
import { createTargets, finishOpenTargets, finishTarget, listTargets } from '../../src/store/sync-targets.ts'
import { finishSync, getSync, openAuthorizations } from '../../src/store/syncs.ts'
import { openActiveTokens } from '../../src/store/tokens.ts'
import { at, makePlatform, makeWorld, remoteSpace, type World } from '../store/fixtures.ts'
import { fieldsOf, openTestApi, type TestApi } from './harness.ts'

let api: TestApi
let world: World
let platformId: string
let instanceIds: string[]
let spaceIds: string[]
let cell: { instanceId: string; spaceId: string }

beforeAll(async () => {
  api = await openTestApi()
})
afterAll(() => api.close())
beforeEach(async () => {
  world = await makeWorld(api.store, { spaces: 2, instances: 2 })
  platformId = world.platform.id
  instanceIds = world.instances.map((instance) => instance.id)
  spaceIds = world.spaces.map((space) => space.id)
  cell = { instanceId: at(instanceIds, 0), spaceId: at(spaceIds, 0) }
  api.runs.away = false
  api.runs.started.length = 0
  api.runs.signals.length = 0
})

const TOKEN = 'Sesam-0pen-your-gate-42!'

function start(over: Record<string, unknown> = {}, headers: Record<string, string> = {}) {
  return api.call('POST', '/api/v1/syncs', {
    role: 'operator',
    body: { platformId, instanceIds, spaceIds, ...over },
    headers,
  })
}

describe('POST /syncs', () => {
  it('writes the run, starts its workflow and answers 202', async () => {
    const answer = await start({ name: 'first', instanceIds: [...instanceIds, at(instanceIds, 0)] })
    expect(answer.status).toBe(202)
    expect(answer.json).toEqual({
      id: expect.any(String),
      workflowId: `sync-${answer.json.id}`,
      state: 'queued',
      warnings: [],
    })
    expect(api.runs.started).toEqual([
      {
        syncId: answer.json.id,
        summary: { platformId, platformKind: 'dify', action: 'sync', dryRun: false, instances: 2, spaces: 2 },
      },
    ])
    const sync = await getSync(api.store, answer.json.id)
    expect(sync).toMatchObject({ selection: { instanceIds, spaceIds }, requestedBy: 'op', writePolicy: 'upsert-only' })
    const seen = await api.call('GET', `/api/v1/syncs/${answer.json.id}`, { role: 'viewer' })
    expect(seen.json).toMatchObject({
      name: 'first',
      state: 'queued',
      live: null,
      error: null,
      temporalUrl: expect.stringContaining(answer.json.id),
    })
  })

  it('stays queued while Temporal is away', async () => {
    api.runs.away = true
    const answer = await start()
    expect([answer.status, answer.json.state, api.runs.started.length]).toEqual([202, 'queued', 0])
  })

  it('takes every space with "all", those with a problem too by their id', async () => {
    await upsertSpaces(api.store, platformId, [
      remoteSpace('space 0', { archived: true }),
      remoteSpace('space 1', { problem: 'no key' }),
    ])
    expect((await start({ spaceIds: 'all' })).status).toBe(202)
    expect((await start()).status).toBe(202)
    const empty = await makePlatform(api.store)
    const unknown = await start({ platformId: empty.id, spaceIds: 'all' })
    expect([unknown.status, fieldsOf(unknown)]).toEqual([422, ['spaceIds']])
  })

  it('names every id that is unknown, of another platform, or inactive', async () => {
    const other = await makeWorld(api.store, { spaces: 1, instances: 0 })
    const unknown = await start({
      instanceIds: [at(instanceIds, 0), 'nothing'],
      spaceIds: ['nowhere', at(other.spaces, 0).id],
    })
    expect([unknown.status, fieldsOf(unknown)]).toEqual([422, ['instanceIds[1]', 'spaceIds[0]', 'spaceIds[1]']])
    expect(unknown.json.errors[2].message).toContain('another platform')
    const platform = await start({ platformId: 'none' })
    expect([platform.status, fieldsOf(platform)]).toEqual([422, ['platformId']])
    await updateInstance(api.store, at(instanceIds, 1), null, { status: 'inactive' })
    expect(fieldsOf(await start())).toEqual(['instanceIds[1]'])
    expect((await start({ action: 'remove' })).status).toBe(202)
  })

  it.each<[string, Record<string, unknown>, string[]]>([
    ['no instance', { instanceIds: [] }, ['instanceIds']],
    ['a text for a list', { instanceIds: 'all' }, ['instanceIds']],
    ['another word than all', { spaceIds: 'every' }, ['spaceIds']],
    ['a number among the spaces', { spaceIds: ['a', 7] }, ['spaceIds[1]']],
    ['an unknown policy', { writePolicy: 'replace' }, ['writePolicy']],
    ['a misspelt property', { dryrun: true }, ['dryrun']],
    [
      'a property too many in an authorization',
      { authorizations: [{ instanceId: 'a', spaceId: 'b', tokn: 'x' }] },
      ['authorizations[0].tokn'],
    ],
  ])('refuses %s', async (_what, over, fields) => {
    const answer = await start(over)
    expect([answer.status, fieldsOf(answer)]).toEqual([400, fields])
  })
})

describe('authorizations', () => {
  it('are applied to the bindings of a real run at once', async () => {
    const answer = await start({
      authorizations: [
        { ...cell, token: `Bearer ${TOKEN}`, expiresIn: '30d', passThroughHeaders: { 'X-User': 'pass-secret' } },
      ],
    })
    expect(answer.status).toBe(202)
    const binding = at(
      (await api.call('GET', `/api/v1/bindings?spaceId=${cell.spaceId}&instanceId=${cell.instanceId}`)).json.items,
      0,
    ) as {
      id: string
      token: { origin: string }
    }
    expect(binding).toMatchObject({
      token: { origin: 'custom', provenAt: null },
      passThroughHeaders: { 'X-User': expect.any(String) },
    })
    expect((await openActiveTokens(api.store, [binding.id])).get(binding.id)?.secret).toBe(TOKEN)
    expect((await start({ authorizations: [{ ...cell, token: TOKEN }] })).status).toBe(202)

    const elsewhere = await start({ authorizations: [{ ...cell, spaceId: at(spaceIds, 1), token: TOKEN }] })
    expect([elsewhere.status, elsewhere.json.code, fieldsOf(elsewhere)]).toEqual([
      409,
      'token_in_use',
      ['authorizations[0].token'],
    ])
    expect(elsewhere.text).not.toContain(TOKEN)
  })

  it('of a dry run are kept sealed and change nothing until the plan is applied', async () => {
    const token = `${TOKEN}-planned`
    const dry = await start({ dryRun: true, authorizations: [{ ...cell, token }] })
    const bindings = () => api.call('GET', `/api/v1/bindings?spaceId=${cell.spaceId}&instanceId=${cell.instanceId}`)
    expect((await bindings()).json.items[0].token).toBeNull()
    const early = await api.call('POST', `/api/v1/syncs/${dry.json.id}/apply`, { role: 'operator' })
    expect([early.status, early.json.code]).toEqual([409, 'not_planned'])
    await finishSync(api.store, dry.json.id, { state: 'planned' })
    const applied = await api.call('POST', `/api/v1/syncs/${dry.json.id}/apply`, { role: 'operator' })
    expect(applied.status).toBe(202)
    expect(await getSync(api.store, applied.json.id)).toMatchObject({ planOf: dry.json.id, dryRun: false })
    expect((await bindings()).json.items[0].token.origin).toBe('custom')
    expect(await openAuthorizations(api.store, applied.json.id)).toEqual([])
  })

  it.each<[string, () => Record<string, unknown>[], number, string, string[]]>([
    ['a weak token', () => [{ ...cell, token: '123456' }], 422, 'weak_token', ['authorizations[0].token']],
    [
      'a template as token',
      () => [{ ...cell, token: '{{token}}-and-much-more' }],
      422,
      'weak_token',
      ['authorizations[0].token'],
    ],
    [
      'one token for two cells',
      () => [
        { ...cell, token: `${TOKEN}-twice` },
        { ...cell, spaceId: at(spaceIds, 1), token: `${TOKEN}-twice` },
      ],
      409,
      'token_in_use',
      ['authorizations[1].token'],
    ],
    ['a space outside', () => [{ ...cell, spaceId: 'outside' }], 422, 'invalid_field', ['authorizations[0].spaceId']],
    ['a cell twice', () => [cell, cell], 422, 'invalid_field', ['authorizations[1]']],
    [
      'a bad header',
      () => [{ ...cell, passThroughHeaders: { Host: 'x' } }],
      422,
      'invalid_field',
      ['authorizations[0].passThroughHeaders.Host'],
    ],
    [
      'a mask that stands for nothing',
      () => [{ ...cell, passThroughHeaders: { 'X-None': MASK } }],
      422,
      'invalid_field',
      ['authorizations[0].passThroughHeaders.X-None'],
    ],
    [
      'a past expiry',
      () => [{ ...cell, expiresAt: '2001-01-01T00:00:00Z' }],
      422,
      'invalid_field',
      ['authorizations[0].expiresAt'],
    ],
  ])('refuse %s, and no run is made', async (_what, make, status, code, fields) => {
    const answer = await start({ authorizations: make() })
    expect([answer.status, answer.json.code, fieldsOf(answer)]).toEqual([status, code, fields])
    expect((await api.call('GET', `/api/v1/syncs?platformId=${platformId}`)).json.items).toEqual([])
  })

  describe('of every space', () => {
    type Bound = { expiresAt: string | null; passThroughHeaders: object | null; enabled: boolean; token: object | null }
    const bound = async (instance: number, space: number): Promise<Bound | undefined> => {
      const cell = `spaceId=${at(spaceIds, space)}&instanceId=${at(instanceIds, instance)}`
      return (await api.call('GET', `/api/v1/bindings?${cell}`)).json.items[0]
    }
    const all = () => ({ ...cell, spaceId: 'all' })

    it('are the default of one instance; the one that names a space stands there alone', async () => {
      const passThroughHeaders = { 'X-Tenant': 'blue' }
      const answer = await start({
        spaceIds: 'all',
        authorizations: [
          { ...cell, token: `${TOKEN}-named` },
          { ...all(), expiresIn: '30d', passThroughHeaders, enabled: false },
        ],
      })
      expect(answer.status).toBe(202)
      expect(await bound(0, 0)).toMatchObject({
        expiresAt: null,
        passThroughHeaders: null,
        enabled: true,
        token: { origin: 'custom' },
      })
      expect(await bound(0, 1)).toMatchObject({
        expiresAt: expect.any(String),
        passThroughHeaders: { 'X-Tenant': expect.any(String) },
        enabled: false,
        token: null,
      })
      for (const space of [0, 1]) {
        expect((await bound(1, space))?.expiresAt ?? null).toBeNull()
        expect((await bound(1, space))?.passThroughHeaders ?? null).toBeNull()
      }
      const [binding] = await findBindings(api.store, [{ ...cell, spaceId: at(spaceIds, 1) }])
      const opened = await openBindings(api.store, [binding?.id ?? ''])
      expect(opened.get(binding?.id ?? '')?.ownPassThrough).toEqual(passThroughHeaders)
    })

    it('of a dry run are applied to what its plan named, with it', async () => {
      const dry = await start({ dryRun: true, spaceIds: 'all', authorizations: [{ ...all(), expiresIn: '7d' }] })
      expect((await bound(0, 1))?.expiresAt ?? null).toBeNull()
      expect(await openAuthorizations(api.store, dry.json.id)).toHaveLength(1)
      await createTargets(api.store, dry.json.id, [{ ...cell, spaceId: at(spaceIds, 1), bindingId: null }])
      await finishSync(api.store, dry.json.id, { state: 'planned' })
      expect((await api.call('POST', `/api/v1/syncs/${dry.json.id}/apply`, { role: 'operator' })).status).toBe(202)
      expect((await bound(0, 1))?.expiresAt).toEqual(expect.any(String))
      expect((await bound(0, 0))?.expiresAt ?? null).toBeNull()
    })

    it('take a masked value from the instance, and never a token', async () => {
      await updateInstance(api.store, cell.instanceId, null, { defaultPassThrough: { 'X-Tenant': 'green' } })
      expect((await start({ authorizations: [{ ...all(), passThroughHeaders: { 'X-Tenant': MASK } }] })).status).toBe(
        202,
      )
      const bindings = await findBindings(
        api.store,
        spaceIds.map((spaceId) => ({ ...cell, spaceId })),
      )
      const opened = await openBindings(
        api.store,
        bindings.map(({ id }) => id),
      )
      expect([...opened.values()].map(({ ownPassThrough }) => ownPassThrough)).toEqual([
        { 'X-Tenant': 'green' },
        { 'X-Tenant': 'green' },
      ])

      const refused = await start({ authorizations: [{ ...all(), token: `${TOKEN}-all` }] })
      expect([refused.status, fieldsOf(refused)]).toEqual([422, ['authorizations[0].token']])
      expect(refused.text).not.toContain(TOKEN)
      expect(fieldsOf(await start({ authorizations: [all(), all()] }))).toEqual(['authorizations[1]'])
      expect(fieldsOf(await start({ authorizations: [{ ...all(), instanceId: 'outside' }] }))).toEqual([
        'authorizations[0].instanceId',
      ])
    })

    it('stand for more cells than could be named in one body', async () => {
      const big = await makeWorld(api.store, { spaces: 1_000, instances: 51 })
      const instances = big.instances.map(({ id }) => id)
      const startBig = (count: number) =>
        start({
          platformId: big.platform.id,
          instanceIds: instances,
          spaceIds: 'all',
          authorizations: instances.slice(0, count).map((instanceId) => ({
            instanceId,
            spaceId: 'all',
            expiresIn: '30d',
            passThroughHeaders: { 'X-Tenant': 'blue' },
          })),
        })
      expect((await startBig(6)).status).toBe(202)
      const where = { instanceId: { in: instances }, expiresAt: { not: null }, sealedPassThrough: { not: null } }
      expect(await api.store.db.binding.count({ where })).toBe(6_000)
      const refused = await startBig(51)
      expect([refused.status, fieldsOf(refused)]).toEqual([422, ['authorizations']])
    })
  })

  it('have no place in a removal', async () => {
    expect(fieldsOf(await start({ action: 'remove', authorizations: [cell] }))).toEqual(['authorizations'])
  })
})

describe('Idempotency-Key', () => {
  it('the same key and body is the same run; another body is refused; another caller has keys of its own', async () => {
    const key = { 'idempotency-key': 'deploy-7' }
    const body = { authorizations: [{ ...cell, expiresAt: '2999-01-01T00:00:00Z' }] }
    const first = await start(body, key)
    const again = await start({ ...body, instanceIds, spaceIds }, key)
    expect([again.status, again.json]).toEqual([202, first.json])
    const other = await start({ ...body, name: 'other' }, key)
    expect([other.status, other.json.code]).toEqual([409, 'idempotency_key_reused'])
    const admin = await api.call('POST', '/api/v1/syncs', {
      body: { platformId, instanceIds, spaceIds, ...body },
      headers: key,
    })
    expect(admin.json.id).not.toBe(first.json.id)
    expect((await start({}, { 'idempotency-key': 'with space' })).status).toBe(400)
  })

  it('ten calls at once make one run', async () => {
    const answers = await Promise.all(Array.from({ length: 10 }, () => start({}, { 'idempotency-key': 'at-once' })))
    expect(new Set(answers.map((answer) => answer.json.id)).size).toBe(1)
    expect((await api.call('GET', `/api/v1/syncs?platformId=${platformId}`)).json.items).toHaveLength(1)
  })

  it.each([
    ['apply', 'planned', 'not_planned'],
    ['retry', 'failed', 'run_open'],
  ] as const)(
    'to %s twice makes one run, also when it could not be asked for any more',
    async (verb, state, refusal) => {
      const { id } = (await start({ dryRun: verb === 'apply' })).json
      const act = (headers: Record<string, string>, body = {}) =>
        api.call('POST', `/api/v1/syncs/${id}/${verb}`, { role: 'operator', headers, body })
      const key = { 'idempotency-key': `${verb}-${id}` }
      expect((await act(key)).json.code).toBe(refusal)
      await finishSync(api.store, id, { state })
      const first = await act(key)
      expect([first.status, (await act(key)).json]).toEqual([202, first.json])
      await api.store.write((tx) => tx.sync.update({ where: { id }, data: { state: 'running' } }))
      expect((await act(key)).json).toEqual(first.json)
      expect((await start({}, key)).json.code).toBe('idempotency_key_reused')
      expect((await api.call('GET', `/api/v1/syncs?platformId=${platformId}`)).json.items).toHaveLength(2)
    },
  )
})

describe('warnings', () => {
  it('a loopback gateway must be accepted by a real run, and is shown by a dry one', async () => {
    const local = await openTestApi({ facts: { publicUrl: 'http://127.0.0.1:8080' } })
    const { platform, spaces, instances } = await makeWorld(local.store, { spaces: 1, instances: 1 })
    const body = { platformId: platform.id, instanceIds: [at(instances, 0).id], spaceIds: [at(spaces, 0).id] }
    const post = (over: object) => local.call('POST', '/api/v1/syncs', { role: 'operator', body: { ...body, ...over } })
    const refused = await post({})
    expect([refused.status, refused.json.code, fieldsOf(refused)]).toEqual([
      409,
      'warnings_not_accepted',
      ['acceptWarnings'],
    ])
    expect((await post({ dryRun: true })).json.warnings).toEqual([expect.stringContaining('127.0.0.1:8080')])
    const accepted = await post({ acceptWarnings: true })
    expect([accepted.status, accepted.json.warnings.length]).toEqual([202, 1])
    expect((await local.call('GET', `/api/v1/syncs/${accepted.json.id}`)).json.warnings).toHaveLength(1)
    expect((await post({ action: 'remove' })).status).toBe(202)
    await local.close()
  })
})

describe('an open run', () => {
  it('is paused, resumed and cancelled: the wish is kept, the workflow told', async () => {
    const { id } = (await start()).json
    const act = (verb: string) => api.call('POST', `/api/v1/syncs/${id}/${verb}`, { role: 'operator' })
    expect((await act('pause')).json).toMatchObject({ pauseRequested: true })
    expect((await act('resume')).json).toMatchObject({ pauseRequested: false })
    api.runs.away = true
    expect((await act('cancel')).json).toMatchObject({ cancelRequested: true })
    expect(api.runs.signals).toEqual([
      { syncId: id, signal: { type: 'pause' } },
      { syncId: id, signal: { type: 'resume' } },
    ])
    expect(api.runs.cancelled).toContain(id)
    expect((await act('retry')).json.code).toBe('run_open')
  })

  it('shows what its workflow says', async () => {
    const { id } = (await start()).json
    api.runs.live = {
      state: 'running',
      phase: 'write',
      counts: {
        total: 4,
        pending: 4,
        running: 0,
        succeeded: 0,
        unchanged: 0,
        skipped: 0,
        conflict: 0,
        failed: 0,
        cancelled: 0,
      },
      spacesTotal: 2,
      spacesDone: 1,
      spacesInFlight: [at(spaceIds, 1)],
    }
    await createTargets(api.store, id, [{ ...cell, bindingId: null }])
    const { json } = await api.call('GET', `/api/v1/syncs/${id}`)
    expect(json).toMatchObject({ live: { spacesTotal: 2, spacesDone: 1 }, counts: { total: 1, pending: 1 } })
    api.runs.live = null
    expect((await api.call('GET', '/api/v1/overview')).json.runs.map((run: { id: string }) => run.id)).toContain(id)
  })
})

describe('a closed run', () => {
  async function closed(): Promise<string> {
    const { id } = (await start()).json
    await createTargets(
      api.store,
      id,
      spaceIds.flatMap((spaceId) => instanceIds.map((instanceId) => ({ instanceId, spaceId, bindingId: null }))),
    )
    await appendSyncEvent(api.store, id, 'sync', { state: 'running', targets: 4 })
    const { items } = await listTargets(api.store, id)
    for (const target of items.slice(0, 3)) await finishTarget(api.store, target.id, 'succeeded')
    await finishTarget(api.store, at(items, 3).id, 'failed', {
      type: 'TargetGone',
      message: 'The workspace is archived.',
    })
    await finishSync(api.store, id, { state: 'partial' })
    return id
  }

  it('is never signalled', async () => {
    const id = await closed()
    api.runs.signals.length = 0
    for (const verb of ['pause', 'resume', 'cancel', 'apply']) {
      const answer = await api.call('POST', `/api/v1/syncs/${id}/${verb}`, { role: 'operator' })
      expect([answer.status, answer.json.code], verb).toEqual([409, 'run_closed'])
    }
    expect(api.runs.signals).toEqual([])
  })

  it('says per target what happened and what to do', async () => {
    const id = await closed()
    const failed = await api.call('GET', `/api/v1/syncs/${id}/targets?state=failed`, { role: 'viewer' })
    expect(failed.json.items).toMatchObject([
      {
        spaceName: 'space 1',
        error: { type: 'TargetGone', message: 'The workspace is archived.', hint: expect.stringContaining('Refresh') },
      },
    ])
    const first = await api.call('GET', `/api/v1/syncs/${id}/targets?limit=3`)
    const rest = await api.call('GET', `/api/v1/syncs/${id}/targets?limit=3&cursor=${first.json.nextCursor}`)
    expect([first.json.items.length, rest.json.items.length, rest.json.nextCursor]).toEqual([3, 1, null])
  })

  it('is retried for just what did not end well; one that ended well has nothing to retry', async () => {
    const id = await closed()
    const retry = await api.call('POST', `/api/v1/syncs/${id}/retry`, { role: 'operator' })
    expect(retry.status).toBe(202)
    expect(await getSync(api.store, retry.json.id)).toMatchObject({
      retryOf: id,
      selection: { instanceIds: [at(instanceIds, 1)], spaceIds: [at(spaceIds, 1)] },
    })
    for (const target of (await listTargets(api.store, id)).items) await finishTarget(api.store, target.id, 'unchanged')
    const none = await api.call('POST', `/api/v1/syncs/${id}/retry`, { role: 'operator' })
    expect([none.status, none.json.code]).toEqual([409, 'nothing_to_retry'])
  })

  it('that ended while its targets were being made is retried as a whole', async () => {
    const { id } = (await start()).json
    await createTargets(api.store, id, [{ ...cell, bindingId: null }])
    await finishOpenTargets(api.store, id, {}, 'cancelled')
    await finishSync(api.store, id, { state: 'cancelled' })
    const retry = await api.call('POST', `/api/v1/syncs/${id}/retry`, { role: 'operator' })
    expect(retry.status).toBe(202)
    expect(await getSync(api.store, retry.json.id)).toMatchObject({
      retryOf: null,
      selection: { instanceIds, spaceIds },
    })
  })

  it('is retried as the dry run that it was: as a whole, with its authorizations, and writing nothing', async () => {
    const token = 'Sesam-0pen-your-gate-43!'
    for (const withTargets of [false, true]) {
      const plan = await start({ dryRun: true, authorizations: [{ ...cell, token, enabled: false }] })
      if (withTargets) await createTargets(api.store, plan.json.id, [{ ...cell, bindingId: null }])
      await finishSync(api.store, plan.json.id, { state: 'failed', errorType: 'Unavailable', errorMessage: 'away' })
      const retry = await api.call('POST', `/api/v1/syncs/${plan.json.id}/retry`, { role: 'operator' })
      expect(retry.status).toBe(202)
      expect(await getSync(api.store, retry.json.id)).toMatchObject({
        dryRun: true,
        retryOf: null,
        selection: { instanceIds, spaceIds },
      })
      expect(await openAuthorizations(api.store, retry.json.id)).toEqual([{ ...cell, token, enabled: false }])
    }
  })
})
