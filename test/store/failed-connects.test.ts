import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { DATABASE_SERVERS, throughPort } from '../support/database-servers.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { openTestStore, type TestStore } from './test-store.ts'

const CHILD = fileURLToPath(new URL('cut-at-log-in.ts', import.meta.url))

let opened: TestStore
let proxy: TcpProxy
beforeAll(async () => {
  opened = await openTestStore('mysql')
  proxy = await startTcpProxy(DATABASE_SERVERS.mysql)
})
afterAll(async () => {
  await proxy.stop()
  await opened.close()
})

it('a connection that is cut between its log-in and its first statements does not end the process', async () => {
  const url = throughPort(opened.options.config.databaseUrl, proxy.port)
  // Our first statement on every connection.
  void proxy.cutAfter('SET time_zone')
  const { stdout } = await promisify(execFile)(process.execPath, [CHILD, url])
  expect(stdout).toMatch(/^(answered|failed), then 1$/)
})
