import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import type { Platform, PlatformCheck } from '../../src/platforms/platform.ts'
import { openHeaders } from '../../src/store/instances.ts'
import { openCredential } from '../../src/store/platforms.ts'
import { makeInstance, unique } from '../store/fixtures.ts'
import { openTestApi, type TestApi } from './harness.ts'

/** Two admins at one time: neither undoes unseen what the other one did, and no secret gets where it was not given for. */

const GOOD: PlatformCheck = { ok: true, version: '1.13.0', error: null, hints: [], findings: [], spaces: 0 }

let api: TestApi
/** What happens while a platform is being asked. */
let meanwhile: () => Promise<unknown>
beforeAll(async () => {
  const check = async () => {
    await meanwhile()
    return GOOD
  }
  const adapter: Pick<Platform, 'check' | 'listSpaces' | 'close'> = {
    check,
    listSpaces: async () => [],
    close: async () => undefined,
  }
  api = await openTestApi({ openPlatform: () => adapter as Platform })
})
afterAll(() => api.close())
beforeEach(() => {
  meanwhile = async () => undefined
})

async function makeDify(): Promise<string> {
  const database = { engine: 'postgresql', host: 'db.test', port: 5432, user: 'dify', password: 'first', database: 'd' }
  const name = unique('Dify')
  const made = await api.call('POST', '/api/v1/platforms', {
    body: { kind: 'dify', name, database: { ...database, database: name.replaceAll(' ', '_') } },
  })
  expect(made.status, made.text).toBe(201)
  return made.json.id
}

const patch = (id: string, body: object) => api.call('PATCH', `/api/v1/platforms/${id}`, { body })
const move = (id: string) => patch(id, { database: { host: 'other.test' } })

it('a password does not follow a platform that is moved while it is tried', async () => {
  for (const give of [
    (id: string) => api.call('PUT', `/api/v1/platforms/${id}/credential`, { body: { password: 'for db.test' } }),
    (id: string) => patch(id, { database: { password: 'for db.test' } }),
  ]) {
    meanwhile = async () => undefined
    const id = await makeDify()
    meanwhile = () => move(id)
    const given = await give(id)
    expect([given.status, given.json.code]).toEqual([409, 'stale_write'])
    const now = await api.call('GET', `/api/v1/platforms/${id}`)
    expect(now.json).toMatchObject({ hasCredential: false, settings: { database: { host: 'other.test' } } })
    expect(await openCredential(api.store, id)).toBeNull()
  }
})

it('a password that is given twice at one time is the later one’s, and a name may change meanwhile', async () => {
  const id = await makeDify()
  const put = (password: string) => api.call('PUT', `/api/v1/platforms/${id}/credential`, { body: { password } })
  meanwhile = async () => {
    meanwhile = async () => undefined
    expect((await put('second')).status).toBe(200)
  }
  expect((await put('third')).status).toBe(200)
  expect((await openCredential(api.store, id))?.credential).toEqual({ password: 'third' })
})

it('a change of a name takes nothing back that was changed under it', async () => {
  const id = await makeDify()
  const instance = await makeInstance(api.store, { headers: { 'X-Key': 'first' } })
  const change = (body: object) => api.call('PATCH', `/api/v1/instances/${instance.id}`, { body })
  // Both have read when the first one writes.
  const [moved, renamed, ...instances] = await held([
    () => move(id),
    () => patch(id, { name: unique('renamed') }),
    () => change({ url: 'http://elsewhere.test/mcp' }),
    () => change({ description: 'new words' }),
    () => change({ headers: { 'X-Key': '••••••••' } }),
  ])
  expect([moved?.status, renamed?.status, ...instances.map(({ status }) => status)]).toEqual([200, 200, 200, 200, 409])
  const platform = await api.call('GET', `/api/v1/platforms/${id}`)
  expect(platform.json).toMatchObject({ hasCredential: false, settings: { database: { host: 'other.test' } } })
  const after = await api.call('GET', `/api/v1/instances/${instance.id}`)
  expect(after.json).toMatchObject({ url: 'http://elsewhere.test/mcp', description: 'new words' })
  expect(await openHeaders(api.store, instance.id)).toEqual({})
})

/** Runs the calls so that each has come to its write, in their order, before any is written. */
async function held<T>(calls: (() => Promise<T>)[]): Promise<T[]> {
  const { store } = api
  const { write } = store
  const gate = Promise.withResolvers<void>()
  const first = write(() => gate.promise)
  let arrived = Promise.withResolvers<void>()
  store.write = (work, options) => {
    arrived.resolve()
    return write(work, options)
  }
  try {
    const running: Promise<T>[] = []
    for (const call of calls) {
      arrived = Promise.withResolvers<void>()
      running.push(call())
      await arrived.promise
    }
    gate.resolve()
    return await Promise.all(running)
  } finally {
    gate.resolve()
    await first
    store.write = write
  }
}
