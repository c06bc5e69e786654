import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { at, makeWorld } from '../store/fixtures.ts'
import { createDifyDatabase, type DifyTestDatabase } from '../support/dify-database.ts'
import { freePort } from '../support/mcp-servers.ts'
import { openTestApi, type TestApi } from './harness.ts'

let api: TestApi
let dify: DifyTestDatabase
beforeAll(async () => {
  ;[api, dify] = await Promise.all([openTestApi(), createDifyDatabase()])
})
afterAll(async () => {
  await api.close()
  await dify.drop()
})

it('no secret that was given comes back in an answer, a log line or the audit', async () => {
  const planted: string[] = []
  const secret = (what: string) => {
    const text = `canary-${what}-${randomBytes(12).toString('base64url')}`
    planted.push(text)
    return text
  }
  const { platform, spaces, instances } = await makeWorld(api.store, { spaces: 1, instances: 1 })
  const cell = { instanceId: at(instances, 0).id, spaceId: at(spaces, 0).id }
  const database = { ...dify.connection, tls: 'disable' }
  const calls: [string, string, unknown][] = [
    ['POST', '/platforms/check', { kind: 'dify', name: 'p', database: { ...database, password: secret('check') } }],
    [
      'POST',
      '/platforms',
      { kind: 'dify', name: 'p', database: { ...database, port: await freePort(), password: secret('away') } },
    ],
    ['POST', '/platforms', { kind: 'dify', name: 'p', database: { ...database, password: secret('password') } }],
    ['POST', '/platforms', { kind: 'dify', name: 'q', database: { ...database, password: secret('twice') } }],
    [
      'POST',
      '/instances',
      {
        name: 'i',
        url: `http://127.0.0.1:${await freePort()}/mcp`,
        headers: { Authorization: secret('header') },
        defaultPassThroughHeaders: { 'X-U': secret('default') },
      },
    ],
    [
      'POST',
      '/instances',
      { name: 'bad', url: `http://u:${secret('url')}@mcp.test/`, headers: { Host: secret('host') } },
    ],
    ['POST', '/instances', { name: 'bad', url: 'http://mcp.test/', headers: { 'X-K': `${secret('line')}\nx` } }],
    [
      'POST',
      '/instances/import',
      { mcpServers: { a: { url: 'http://a.test/mcp', headers: { 'X-K': secret('import') } } } },
    ],
    [
      'POST',
      '/syncs',
      {
        platformId: platform.id,
        instanceIds: [cell.instanceId],
        spaceIds: 'all',
        authorizations: [{ ...cell, token: secret('token'), passThroughHeaders: { 'X-S': secret('pass') } }],
      },
    ],
    [
      'POST',
      '/syncs',
      {
        platformId: platform.id,
        instanceIds: [cell.instanceId],
        spaceIds: 'all',
        dryRun: true,
        authorizations: [{ ...cell, token: secret('dry'), passThroughHeaders: { Cookie: secret('cookie') } }],
      },
    ],
    ['POST', `/instances/${cell.instanceId}/tokens`, { name: 'm', passThroughHeaders: { 'X-T': secret('manual') } }],
    ['POST', `/instances/${cell.instanceId}/tokens`, { name: 'm', passThroughHeaders: { Host: secret('refused') } }],
    ['POST', '/session', { apiKey: secret('apikey') }],
    ['POST', '/session', { [secret('property')]: 1, apiKey: { wrong: secret('type') } }],
    ['POST', '/instances', `{"name": "${secret('malformed')}`],
  ]
  for (const [method, path, body] of calls) await api.call(method, `/api/v1${path}`, { body })
  const registered = at((await api.call('GET', '/api/v1/platforms')).json.items, 1) as { id: string }
  const put = await api.call('PUT', `/api/v1/platforms/${registered.id}/credential`, {
    body: { password: secret('put') },
  })
  expect(put.status).toBe(200)
  const created = await api.call('GET', '/api/v1/instances')
  for (const instance of created.json.items) await api.call('POST', `/api/v1/instances/${instance.id}/probe`)
  for (const path of [
    '/platforms',
    '/instances',
    `/instances/${cell.instanceId}/tokens`,
    '/bindings',
    '/syncs',
    '/audit?limit=200',
    '/overview',
    '/settings',
    '/api-keys',
  ]) {
    expect((await api.call('GET', `/api/v1${path}`)).status).toBe(200)
  }

  // The name of a property is what the refusal must show.
  const secrets = planted.filter((text) => !text.startsWith('canary-property'))
  const shown = api.answered() + api.logged()
  expect(secrets.filter((text) => shown.includes(text))).toEqual([])
  const rows = await api.store.db.auditEvent.findMany()
  expect(rows.length).toBeGreaterThan(5)
  expect(secrets.filter((text) => JSON.stringify(rows).includes(text))).toEqual([])
})
