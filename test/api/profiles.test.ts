import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { updateInstance } from '../../src/store/instances.ts'
import { updatePlatform } from '../../src/store/platforms.ts'
import { getProfile } from '../../src/store/profiles.ts'
import { finishSync, getSync } from '../../src/store/syncs.ts'
import { at, makePlatform, makeWorld, type World } from '../store/fixtures.ts'
import { fieldsOf, openTestApi, type TestApi } from './harness.ts'

let api: TestApi
let world: World
let count = 0

beforeAll(async () => {
  api = await openTestApi()
})
afterAll(() => api.close())
beforeEach(async () => {
  world = await makeWorld(api.store, { spaces: 2, instances: 2 })
  api.runs.started.length = 0
  api.schedules.away = false
})

const everyHour = { intervalMs: 3_600_000 }

function body(over: Record<string, unknown> = {}) {
  count += 1
  const selection = { instanceIds: 'all', spaceIds: 'all' }
  return { platformId: world.platform.id, name: `nightly ${count}`, selection, schedule: everyHour, ...over }
}

async function newProfile(over: Record<string, unknown> = {}): Promise<string> {
  const answer = await api.call('POST', '/api/v1/profiles', { role: 'operator', body: body(over) })
  expect(answer.status, answer.text).toBe(201)
  return answer.json.id
}

const post = (path: string, sent?: unknown) =>
  api.call('POST', `/api/v1/profiles/${path}`, { role: 'operator', ...(sent === undefined ? {} : { body: sent }) })

describe('a profile', () => {
  it('is saved with safe defaults, told to the scheduler and shown with its next runs', async () => {
    const answer = await api.call('POST', '/api/v1/profiles', { role: 'operator', body: body() })
    expect(answer.status).toBe(201)
    expect(answer.json).toMatchObject({
      writePolicy: 'upsert-only',
      driftPolicy: 'report',
      selection: { instanceIds: 'all', spaceIds: 'all' },
      schedule: { action: 'sync', intervalMs: 3_600_000, jitterMs: 0 },
      paused: false,
      nextRuns: ['2030-01-01T03:00:00.000Z'],
      lastRun: null,
      rowVersion: 1,
    })
    expect(api.schedules.told.get(answer.json.id)?.rowVersion).toBe(1)
    const listed = await api.call('GET', `/api/v1/profiles?platformId=${world.platform.id}`, { role: 'viewer' })
    expect(listed.json.items).toEqual([answer.json])
  })

  it('is saved while Temporal is away, and says that it knows no next run', async () => {
    api.schedules.away = true
    const answer = await api.call('POST', '/api/v1/profiles', { role: 'operator', body: body() })
    expect([answer.status, answer.json.nextRuns]).toEqual([201, null])
  })

  it.each([
    ['a wrong cron', { schedule: { cron: '61 * * * *' } }, 'schedule', 400],
    ['an unknown time zone', { schedule: { cron: '0 3 * * *', timezone: 'Mars/Base' } }, 'schedule', 400],
    ['both kinds of schedule', { schedule: { cron: '0 3 * * *', intervalMs: 60_000 } }, 'schedule', 400],
    ['an interval of a second', { schedule: { intervalMs: 1000 } }, 'schedule', 400],
    ['an unknown policy', { writePolicy: 'replace' }, 'writePolicy', 400],
    ['no instance', { selection: { instanceIds: [], spaceIds: 'all' } }, 'selection.instanceIds', 400],
    [
      'an unknown instance',
      { selection: { instanceIds: ['nobody'], spaceIds: 'all' } },
      'selection.instanceIds[0]',
      422,
    ],
    ['an unknown platform', { platformId: 'nobody' }, 'platformId', 422],
  ])('is refused with %s, which is named', async (_name, over, field, status) => {
    const answer = await api.call('POST', '/api/v1/profiles', { role: 'operator', body: body(over) })
    expect(answer.status).toBe(status)
    expect(fieldsOf(answer).some((name) => name.startsWith(field))).toBe(true)
  })

  it('says what is wrong inside a schedule', async () => {
    const answer = await api.call('POST', '/api/v1/profiles', { body: body({ schedule: { cron: '61 * * * *' } }) })
    expect(answer.text).toContain('is no minute')
  })

  it('takes no space of another platform', async () => {
    const other = await makeWorld(api.store, { spaces: 1, instances: 1 })
    const selection = { instanceIds: 'all', spaceIds: [at(other.spaces, 0).id] }
    const answer = await api.call('POST', '/api/v1/profiles', { body: body({ selection }) })
    expect([answer.status, fieldsOf(answer)]).toEqual([422, ['selection.spaceIds[0]']])
  })

  it('changes, and the scheduler hears of it; a stale change is refused', async () => {
    const id = await newProfile()
    const path = `/api/v1/profiles/${id}`
    const schedule = { action: 'check', cron: '0 3 * * *', timezone: 'Asia/Shanghai' }
    const headers = { 'if-match': 'W/"1"' }
    const changed = await api.call('PATCH', path, { body: { schedule, driftPolicy: 'heal' }, headers })
    expect(changed.json).toMatchObject({ schedule: { ...schedule, jitterMs: 0 }, driftPolicy: 'heal', rowVersion: 2 })
    expect(api.schedules.told.get(id)?.schedule).toMatchObject(schedule)
    expect((await api.call('PATCH', path, { body: { name: 'late' }, headers })).status).toBe(409)
  })

  it('is paused with a reason and resumed', async () => {
    const id = await newProfile()
    const paused = await post(`${id}/pause`, { reason: 'freeze until Monday' })
    expect(paused.json).toMatchObject({ paused: true, pauseReason: 'freeze until Monday', nextRuns: [] })
    expect(api.schedules.told.get(id)?.paused).toBe(true)
    const resumed = await post(`${id}/resume`)
    expect(resumed.json).toMatchObject({ paused: false, pauseReason: null })
    expect(resumed.json.nextRuns).toHaveLength(1)
  })

  it('is deleted with its schedule', async () => {
    const id = await newProfile()
    expect((await api.call('DELETE', `/api/v1/profiles/${id}`, { role: 'operator' })).status).toBe(204)
    expect(api.schedules.told.has(id)).toBe(false)
    expect(await getProfile(api.store, id)).toBeNull()
    expect((await post(`${id}/trigger`)).status).toBe(404)
  })

  it('is for operators to change and for viewers to see', async () => {
    const id = await newProfile()
    expect((await api.call('GET', `/api/v1/profiles/${id}`, { role: 'viewer' })).status).toBe(200)
    expect((await api.call('POST', `/api/v1/profiles/${id}/pause`, { role: 'viewer' })).status).toBe(403)
  })

  it('asks for consent to a gateway address that only this machine can reach', async () => {
    const platform = await makePlatform(api.store)
    await updatePlatform(api.store, platform.id, null, { gatewayUrl: 'http://127.0.0.1:8080' })
    const refused = await api.call('POST', '/api/v1/profiles', { body: body({ platformId: platform.id }) })
    expect([refused.status, refused.json.code]).toEqual([409, 'warnings_not_accepted'])
    await newProfile({ platformId: platform.id, acceptWarnings: true })
  })
})

describe('a trigger', () => {
  it('starts a run of what the profile selects now', async () => {
    const id = await newProfile({ writePolicy: 'create-only' })
    await updateInstance(api.store, at(world.instances, 1).id, null, { status: 'inactive' })
    const answer = await post(`${id}/trigger`)
    expect(answer.status).toBe(202)
    const sync = await getSync(api.store, answer.json.id)
    expect(sync).toMatchObject({ profileId: id, writePolicy: 'create-only', dryRun: false, scheduled: false })
    expect(sync?.selection.spaceIds).toBe('all')
    expect(sync?.selection.instanceIds).toContain(at(world.instances, 0).id)
    expect(sync?.selection.instanceIds).not.toContain(at(world.instances, 1).id)
    expect(api.runs.started.map((run) => run.syncId)).toEqual([answer.json.id])
    const shown = await api.call('GET', `/api/v1/profiles/${id}`)
    expect(shown.json.lastRun).toMatchObject({ id: answer.json.id, state: 'queued' })
  })

  it('names what it leaves out', async () => {
    const instanceIds = world.instances.map((instance) => instance.id)
    const id = await newProfile({ selection: { instanceIds, spaceIds: 'all' } })
    await updateInstance(api.store, at(instanceIds, 1), null, { status: 'inactive' })
    const answer = await post(`${id}/trigger`)
    expect(answer.json.warnings).toEqual([expect.stringMatching(/^1 MCP server of the profile left out/)])
  })

  it('starts no second run beside an open one', async () => {
    const id = await newProfile()
    const first = await post(`${id}/trigger`)
    expect(await post(`${id}/trigger`)).toMatchObject({ status: 409, json: { code: 'run_open' } })
    await finishSync(api.store, first.json.id, { state: 'succeeded' })
    expect((await post(`${id}/trigger`)).status).toBe(202)
  })

  it.each([
    ['a check that reports only looks', { schedule: { ...everyHour, action: 'check' } }, undefined, true],
    [
      'a check that heals writes',
      { schedule: { ...everyHour, action: 'check' }, driftPolicy: 'heal' },
      undefined,
      false,
    ],
    ['a sync only looks when asked to', {}, { dryRun: true }, true],
  ])('%s', async (_name, over, sent, dryRun) => {
    const answer = await post(`${await newProfile(over)}/trigger`, sent)
    expect((await getSync(api.store, answer.json.id))?.dryRun).toBe(dryRun)
  })
})
