import { expect, test } from 'vitest'
import { ConfigError, readConfig } from '../../src/config.ts'
import { runApi } from '../../src/roles/api.ts'
import { openFoundation } from '../../src/roles/foundation.ts'
import { runWorker } from '../../src/roles/worker.ts'
import { mysqlTarget } from '../../src/store/client.ts'
import { openStore } from '../../src/store/store.ts'
import { makeDatabase } from '../store/test-store.ts'
import { silentLogger } from '../support/logger.ts'

test('an egress rule that cannot be read is a wrong setting, and leaves no store open behind it', async () => {
  const database = await makeDatabase('sqlite')
  const { config } = readConfig('all', { TOOLFERRY_EGRESS_DENY: '10.0.0.0/8, 10.0.0.0/99' })
  const secrets = { ...database.options.secrets, temporalApiKey: null }
  const { signal } = new AbortController()
  const opening = openFoundation({ ...config, ...database.options.config }, secrets, silentLogger, signal)
  await expect(opening).rejects.toThrow(ConfigError)
  await expect(opening).rejects.toThrow(/TOOLFERRY_EGRESS_DENY: “10\.0\.0\.0\/99”/)
  await (await openStore(database.options)).close()
  await database.remove()
})

test.each([
  ['api', runApi],
  ['worker', runWorker],
] as const)('role %s is not left looking for a Temporal that nobody named, nor its store open', async (role, run) => {
  const database = await makeDatabase('sqlite')
  const { config } = readConfig(role, { TOOLFERRY_PUBLIC_URL: 'https://mcp.test' })
  const secrets = { ...database.options.secrets, temporalApiKey: null }
  const options = { signal: new AbortController().signal, onProgress: () => undefined }
  const running = run({ ...config, ...database.options.config }, secrets, silentLogger, options)
  await expect(running).rejects.toThrow(ConfigError)
  await expect(running).rejects.toThrow(new RegExp(`Role ${role} needs TEMPORAL_ADDRESS`))
  await (await openStore(database.options)).close()
  await database.remove()
})

test('nothing that an admin registers may be Temporal or an address of the gateway, wherever they are; what stands beside the gateway may', async () => {
  const database = await makeDatabase('sqlite')
  const { config } = readConfig('api', {
    TEMPORAL_ADDRESS: 'Temporal.internal',
    TOOLFERRY_GATEWAY_URL: 'http://gateway:8080',
    TOOLFERRY_PUBLIC_URL: 'https://mcp.test',
  })
  const secrets = { ...database.options.secrets, temporalApiKey: null }
  const { signal } = new AbortController()
  const { egress, store } = await openFoundation(
    { ...config, ...database.options.config },
    secrets,
    silentLogger,
    signal,
  )
  for (const url of [
    'http://temporal.internal:7233/',
    'http://gateway:8080/mcp-gateway/x/mcp',
    'https://mcp.test/mcp-gateway/x/mcp',
  ]) {
    expect(() => egress.checkUrl(url)).toThrow(/Toolferry/)
  }
  for (const url of ['http://temporal.internal:8000/', 'https://mcp.test/other', 'http://gateway:8080/other']) {
    expect(egress.checkUrl(url).href).toBe(url)
  }
  await store.close()
  await database.remove()
})

test.each(['https://user:canary@mcp.test', 'https://mcp.test/?key=canary', 'https://mcp.test/#canary'])(
  '%s is no public URL, since paths are put behind it and platforms are told it',
  (url) => {
    const read = () => readConfig('all', { TOOLFERRY_PUBLIC_URL: url })
    expect(read).toThrow(/TOOLFERRY_PUBLIC_URL/)
    expect(read).not.toThrow('canary')
  },
)

test('a public URL may have a path', () => {
  expect(readConfig('all', { TOOLFERRY_PUBLIC_URL: 'https://mcp.test/tools/' }).config.publicUrl).toBe(
    'https://mcp.test/tools',
  )
})

test('a password of the store that is not percent-encoded is said to be so, without being shown', () => {
  const read = () => mysqlTarget('mysql://toolferry:canary-50%off@db.test/toolferry')
  expect(read).toThrow(ConfigError)
  expect(read).toThrow(/percent-encoded/)
  expect(read).not.toThrow('canary')
  expect(mysqlTarget('mysql://toolferry:50%25off@db.test/toolferry').password).toBe('50%off')
})

test.each(['10.0.0.5', '[::1]'])(
  'the certificate of %s could be compared with no name, so none is verified there',
  (host) => {
    expect(() => mysqlTarget(`mysql://toolferry:canary@${host}/toolferry?ssl=verify`)).toThrow(/host name/)
    expect(mysqlTarget(`mysql://toolferry@${host}/toolferry?ssl=require`).ssl).toEqual({ rejectUnauthorized: false })
  },
)
