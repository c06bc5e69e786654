import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createKeyCheck, FAILURE_WINDOW_MS, type KeyCheck, MAX_FAILURES } from '../../src/audit/key-check.ts'
import { createApiKey, revokeApiKey } from '../../src/store/api-keys.ts'
import { listAudit } from '../../src/store/audit.ts'
import { openTestStore, type TestStore } from '../store/test-store.ts'

let opened: TestStore
let nowMs: number
let keys: KeyCheck
beforeAll(async () => {
  opened = await openTestStore()
})
beforeEach(() => {
  nowMs = 1_000_000
  keys = createKeyCheck(opened.store, () => nowMs)
})
afterAll(() => opened.close())

const from = (address: string) => ({ address, requestId: null })
const fail = (address: string, secret = 'tfa_wrong') => keys.apiKey(secret, from(address))
async function exhaust(address: string): Promise<void> {
  for (let count = 0; count < MAX_FAILURES; count += 1) expect(await fail(address)).toMatchObject({ waitSeconds: null })
}
const auditOf = async (address: string) =>
  (await listAudit(opened.store, { actor: `anonymous (${address})`, limit: 200 })).items

test('so many wrong keys an address and no more, until the first of them is a minute old', async () => {
  await exhaust('192.0.2.10')
  nowMs += 1_000
  expect(await fail('192.0.2.10')).toEqual({ key: null, waitSeconds: FAILURE_WINDOW_MS / 1000 - 1 })
  expect(await keys.signIn({ code: 'x' }, from('192.0.2.10'))).toMatchObject({ waitSeconds: 59 })
  // Another address is not meant.
  expect(await fail('192.0.2.11')).toEqual({ key: null, waitSeconds: null })
  nowMs += FAILURE_WINDOW_MS - 1_000
  expect(await fail('192.0.2.10')).toEqual({ key: null, waitSeconds: null })
})

test('many at one time are not more than that', async () => {
  const verdicts = await Promise.all(Array.from({ length: 60 }, (_, count) => fail('192.0.2.12', `tfa_${count}`)))
  expect(
    verdicts.filter(({ key, ...rest }) => key === null && 'waitSeconds' in rest && rest.waitSeconds === null),
  ).toHaveLength(MAX_FAILURES)
})

test('a good key is let in from an address that is limited: nobody behind the same proxy is locked out', async () => {
  const { secret } = await createApiKey(opened.store, { name: 'fresh', role: 'viewer' })
  await exhaust('192.0.2.20')
  expect(await fail('192.0.2.20')).toMatchObject({ key: null, waitSeconds: 60 })
  expect(await fail('192.0.2.20', secret)).toMatchObject({ key: { name: 'fresh' } })
  expect(await keys.signIn({ apiKey: secret }, from('192.0.2.20'))).toMatchObject({ key: { name: 'fresh' } })
})

test('a key that was good is counted like any other once it is revoked', async () => {
  await createApiKey(opened.store, { name: 'another', role: 'admin' })
  const { key, secret } = await createApiKey(opened.store, { name: 'gone', role: 'viewer' })
  expect(await fail('192.0.2.30', secret)).toMatchObject({ key: { id: key.id } })
  await revokeApiKey(opened.store, key.id)
  for (let count = 0; count < MAX_FAILURES; count += 1) await fail('192.0.2.30', secret)
  expect(await fail('192.0.2.30', secret)).toMatchObject({ waitSeconds: 60 })
  // Which key it was, once an hour; what it was, never.
  const events = await auditOf('192.0.2.30')
  expect(events).toMatchObject([{ action: 'use', resource: 'api-key', resourceId: key.id, outcome: 'refused' }])
  expect(JSON.stringify(events)).not.toContain(secret.slice(0, 12))
  nowMs += 3_600_000
  await fail('192.0.2.30', secret)
  expect(await auditOf('192.0.2.30')).toHaveLength(2)
})

test('a flood from many addresses does not fill the audit, nor hide a key that was revoked', async () => {
  const before = await opened.store.db.auditEvent.count()
  for (let count = 0; count < 320; count += 1) await fail(`198.51.${100 + Math.floor(count / 200)}.${count % 200}`)
  expect((await opened.store.db.auditEvent.count()) - before).toBe(300)
  const { key, secret } = await createApiKey(opened.store, { name: 'leaked', role: 'viewer' })
  await revokeApiKey(opened.store, key.id)
  await Promise.all(Array.from({ length: 5 }, () => fail('192.0.2.40', secret)))
  expect(await auditOf('192.0.2.40')).toMatchObject([{ action: 'use', resourceId: key.id }])
})
