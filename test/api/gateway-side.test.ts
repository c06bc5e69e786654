import { afterAll, beforeAll, expect, it } from 'vitest'
import { newId } from '../../src/domain/ids.ts'
import { createGatewayView } from '../../src/store/gateway-view.ts'
import { appendJournalEntries } from '../../src/store/journal.ts'
import { unique } from '../store/fixtures.ts'
import { openTestApi, type TestApi } from './harness.ts'

let api: TestApi
beforeAll(async () => {
  api = await openTestApi()
})
afterAll(() => api.close())

it('an instance’s limits reach the gateway, are replaced as a whole, and only known ones are taken', async () => {
  const limits = { requestsPerSecond: 5, maxOpenRequests: 2, connectTimeoutMs: 500, tokenInQuery: true }
  const body = { name: unique('limited'), url: 'http://mcp.test/mcp', limits }
  const made = await api.call('POST', '/api/v1/instances', { role: 'operator', body })
  expect([made.status, made.json.limits]).toEqual([201, limits])
  const served = async () => {
    const { instances } = await createGatewayView(api.store).loadAll()
    return instances.find(({ id }) => id === made.json.id)?.limits
  }
  expect(await served()).toEqual(limits)
  const path = `/api/v1/instances/${made.json.id}`
  const patched = await api.call('PATCH', path, { role: 'operator', body: { limits: { idleTimeoutMs: 1_000 } } })
  expect([patched.status, patched.json.limits]).toEqual([200, { idleTimeoutMs: 1_000 }])
  expect(await served()).toEqual({ idleTimeoutMs: 1_000 })
  for (const wrong of [{ requestsPerSecond: 0 }, { requestPerSecond: 5 }, { tokenInQuery: 'yes' }]) {
    expect((await api.call('PATCH', path, { role: 'operator', body: { limits: wrong } })).status).toBe(400)
  }
})

it('the gateway’s journal is filtered by instance, binding, tool, status and time', async () => {
  const instanceId = newId()
  const bindingId = newId()
  const startMs = Date.UTC(2026, 0, 1)
  const entry = (second: number, over: object) => ({
    at: new Date(startMs + second * 1_000),
    instanceId,
    bindingId: null,
    tokenId: null,
    method: 'tools/call',
    toolName: 'echo',
    status: 200,
    errorCode: null,
    requestBytes: 1,
    responseBytes: 1,
    durationMs: 1,
    traceId: 'a'.repeat(32),
    ...over,
  })
  await appendJournalEntries(api.store, [
    entry(1, {}),
    entry(2, { bindingId, toolName: 'add' }),
    entry(3, { status: 403, errorCode: 'binding_disabled' }),
    entry(4, { status: 429, errorCode: 'rate_limited' }),
  ])
  const seconds = async (query: string): Promise<number[]> => {
    const { json } = await api.call('GET', `/api/v1/gateway/logs?instanceId=${instanceId}${query}`, { role: 'viewer' })
    return json.items.map(({ at }: { at: string }) => (Date.parse(at) - startMs) / 1_000)
  }
  expect(await seconds('')).toEqual([4, 3, 2, 1])
  expect(await seconds(`&bindingId=${bindingId}`)).toEqual([2])
  expect(await seconds('&tool=add')).toEqual([2])
  expect(await seconds('&status=4xx')).toEqual([4, 3])
  expect(await seconds('&status=403')).toEqual([3])
  expect(await seconds('&since=2026-01-01T00:00:02Z&until=2026-01-01T00:00:04Z')).toEqual([3, 2])
  const wrong = await api.call('GET', '/api/v1/gateway/logs?status=fine', { role: 'viewer' })
  expect(wrong.status).toBe(400)
})
