import { Registry } from 'prom-client'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readConfig } from '../../src/config.ts'
import { type Foundation, openFoundation } from '../../src/roles/foundation.ts'
import { startGatewayPart } from '../../src/roles/gateway-part.ts'
import { REPLICA_LIFE_MS, recordReplica, reportDate, seenByAllReplicas } from '../../src/store/replicas.ts'
import { makeDatabase } from '../store/test-store.ts'
import { silentLogger } from '../support/logger.ts'

/** What a gateway tells the others of itself: a change is effective without it only when it cannot serve any more. */

const HOUR_MS = 3_600_000

let database: Awaited<ReturnType<typeof makeDatabase>>
let foundation: Foundation
beforeEach(async () => {
  database = await makeDatabase('sqlite')
  const { config } = readConfig('gateway', { TOOLFERRY_GATEWAY_STALE_SECONDS: '3600' })
  const secrets = { ...database.options.secrets, temporalApiKey: null }
  const { signal } = new AbortController()
  foundation = await openFoundation({ ...config, ...database.options.config }, secrets, silentLogger, signal)
})
afterEach(async () => {
  await foundation.store.close()
  await database.remove()
})

const start = () => startGatewayPart(foundation, { ownOrigins: () => [], metrics: new Registry() })

test('counts for as long as it may serve without the store, though nothing more was heard of it', async () => {
  const before = Date.now()
  const { store } = foundation
  const part = await start()
  const seenIn = (ms: number) => seenByAllReplicas(store, new Date(before + ms))
  await expect.poll(() => seenIn(0), { timeout: 60_000 }).not.toBeNull()
  // It may have read the store once more right before its next report.
  expect(await seenIn(HOUR_MS + 9_000)).not.toBeNull()
  expect(await seenIn(2 * HOUR_MS)).toBeNull()
  await part.close()
  expect(await seenIn(0)).toBeNull()
})

test('of a store that belongs to one process it forgets at its start who died, and nobody waits for them', async () => {
  const { store, processId } = foundation
  await recordReplica(store, 'killed', 0, new Date(Date.now() + HOUR_MS))
  const part = await start()
  await expect
    .poll(async () => (await store.db.gatewayReplica.findMany()).map(({ id }) => id), { timeout: 60_000 })
    .toEqual([processId])
  await part.close()
})

test.each([
  [1, 30],
  [30, 40],
  [86_400, 86_410],
])('that may serve for %i s without the store counts for %i s after its last report', (staleS, countsS) => {
  const now = new Date()
  const countsUntilMs = reportDate(staleS * 1_000, now).getTime() + REPLICA_LIFE_MS
  expect(countsUntilMs - now.getTime()).toBe(countsS * 1_000)
})
