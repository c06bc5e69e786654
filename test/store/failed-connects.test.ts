import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { openTestStore, type TestStore } from './test-store.ts'

const CHILD = fileURLToPath(new URL('cut-at-log-in.ts', import.meta.url))

let opened: TestStore
let proxy: TcpProxy
beforeAll(async () => {
  opened = await openTestStore('mysql')
  proxy = await startTcpProxy({ host: '127.0.0.1', port: 3306 })
})
afterAll(async () => {
  await proxy.stop()
  await opened.close()
})

it('a connection that is cut between its log-in and its first statements does not end the process', async () => {
  const url = opened.options.config.databaseUrl.replace(':3306', `:${proxy.port}`)
  // Our first statement on every connection.
  void proxy.cutAfter('SET time_zone')
  const { stdout } = await promisify(execFile)(process.execPath, [CHILD, url])
  expect(stdout).toMatch(/^(answered|failed), then 1$/)
})
