import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createApiKey, createConsoleSession, deleteConsoleSession, revokeApiKey } from '../../src/store/api-keys.ts'
import { appendSyncEvent } from '../../src/store/sync-events.ts'
import { createSync, finishSync } from '../../src/store/syncs.ts'
import { makePlatform } from '../store/fixtures.ts'
import { openTestApi, type TestApi } from './harness.ts'

let api: TestApi
let platformId: string
beforeAll(async () => {
  api = await openTestApi()
  platformId = (await makePlatform(api.store)).id
})
afterAll(() => api.close())

async function newRun(): Promise<string> {
  const input = {
    platformId,
    name: 'run',
    selection: { instanceIds: [], spaceIds: 'all' as const },
    requestedBy: 'test',
  }
  return (await createSync(api.store, input)).sync.id
}

/** Opens the stream and reads from it event by event. */
async function listen(
  id: string,
  headers: Record<string, string> = {},
  query = '',
  key: string | null = api.keys.viewer,
) {
  const response = await api.app.request(`/api/v1/syncs/${id}/events${query}`, {
    headers: { ...(key === null ? {} : { authorization: `Bearer ${key}` }), ...headers },
  })
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  let buffer = ''
  return {
    response,
    async next(): Promise<{ id: string; event: string; data: Record<string, unknown> } | null> {
      for (;;) {
        const end = buffer.indexOf('\n\n')
        if (end >= 0) {
          const block = buffer.slice(0, end)
          buffer = buffer.slice(end + 2)
          if (block.startsWith(':')) continue
          const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1] ?? ''
          return { id: field('id'), event: field('event'), data: JSON.parse(field('data')) }
        }
        const chunk = await reader?.read()
        if (chunk === undefined || chunk.done) return null
        buffer += chunk.value
      }
    },
    cancel: () => reader?.cancel(),
  }
}

describe('live events', () => {
  const past = { expiresAt: new Date(Date.now() - 1_000) }
  const ends: Record<string, (keyId: string, sessionId: string) => Promise<unknown>> = {
    'the key is revoked': (keyId) => revokeApiKey(api.store, keyId),
    'the key expires': (id) => api.store.write((tx) => tx.apiKey.update({ where: { id }, data: past })),
    'the session is closed': (_, sessionId) => deleteConsoleSession(api.store, sessionId),
    'the session expires': (_, id) => api.store.write((tx) => tx.consoleSession.update({ where: { id }, data: past })),
  }
  it.each(Object.keys(ends))('end when %s, though the run goes on', async (what) => {
    const { key, secret } = await createApiKey(api.store, { name: what, role: 'viewer' })
    const cookieSecret = randomUUID()
    const session = await createConsoleSession(api.store, {
      apiKeyId: key.id,
      role: 'viewer',
      expiresAt: new Date(Date.now() + 3_600_000),
      secret: cookieSecret,
    })
    const cookie = `__Host-toolferry=${cookieSecret}`
    const id = await newRun()
    await appendSyncEvent(api.store, id, 'sync', { state: 'running' })
    const bySession = await listen(id, { cookie }, '', null)
    const byKey = await listen(id, {}, '', secret)
    const open = [bySession, ...(what.startsWith('the key') ? [byKey] : [])]
    for (const stream of [bySession, byKey]) expect(await stream.next()).toMatchObject({ id: '1' })
    await ends[what]?.(key.id, session.id)
    for (const stream of open) expect(await stream.next()).toBeNull()
    if (what.startsWith('the session')) {
      await appendSyncEvent(api.store, id, 'target', { state: 'succeeded' })
      expect(await byKey.next()).toMatchObject({ id: '2' })
      await byKey.cancel()
    }
    expect((await listen(id, { cookie }, '', null)).response.status).toBe(401)
  })

  it('come from the beginning, then as they happen, and end when the run is closed', async () => {
    const id = await newRun()
    await appendSyncEvent(api.store, id, 'sync', { state: 'running' })
    const stream = await listen(id)
    expect(stream.response.headers.get('content-type')).toBe('text/event-stream')
    expect(await stream.next()).toMatchObject({
      id: '1',
      event: 'sync',
      data: { state: 'running', at: expect.stringMatching(/Z$/) },
    })
    const next = stream.next()
    await appendSyncEvent(api.store, id, 'target', { state: 'succeeded' })
    expect(await next).toMatchObject({ id: '2', event: 'target', data: { state: 'succeeded' } })
    await appendSyncEvent(api.store, id, 'sync', { state: 'succeeded' })
    await finishSync(api.store, id, { state: 'succeeded' })
    expect(await stream.next()).toMatchObject({ id: '3' })
    expect(await stream.next()).toBeNull()
  })

  it('resume after Last-Event-ID, and a closed run that was seen whole is 204', async () => {
    const id = await newRun()
    for (const state of ['a', 'b', 'c']) await appendSyncEvent(api.store, id, 'target', { state })
    const stream = await listen(id, { 'last-event-id': '2' })
    expect(await stream.next()).toMatchObject({ id: '3', data: { state: 'c' } })
    await stream.cancel()
    await finishSync(api.store, id, { state: 'cancelled' })
    expect((await listen(id, { 'last-event-id': '3' })).response.status).toBe(204)
    const late = await listen(id, { 'last-event-id': '1' })
    expect([(await late.next())?.id, (await late.next())?.id, await late.next()]).toEqual(['2', '3', null])
    expect((await listen(id, { 'last-event-id': 'x' })).response.status).toBe(400)
  })

  it('begin where the run stood when it was read, and after a break where they broke off', async () => {
    const id = await newRun()
    for (const state of ['a', 'b']) await appendSyncEvent(api.store, id, 'target', { state })
    const response = await api.app.request(`/api/v1/syncs/${id}`, {
      headers: { authorization: `Bearer ${api.keys.viewer}` },
    })
    const run: unknown = await response.json()
    expect(run).toMatchObject({ lastEvent: 2 })
    await appendSyncEvent(api.store, id, 'target', { state: 'c' })
    const first = await listen(id, {}, '?after=2')
    expect(await first.next()).toMatchObject({ id: '3', data: { state: 'c' } })
    await first.cancel()
    await appendSyncEvent(api.store, id, 'target', { state: 'd' })
    const again = await listen(id, { 'last-event-id': '3' }, '?after=2')
    expect(await again.next()).toMatchObject({ id: '4', data: { state: 'd' } })
    await again.cancel()
    expect((await listen(id, {}, '?after=-1')).response.status).toBe(400)
  })
})
