import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import mysql from 'mysql2/promise'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { createDifyPlatform } from '../../../src/platforms/dify/dify-platform.ts'
import type { PlatformCheck } from '../../../src/platforms/platform.ts'
import { difySchemaSql } from '../../support/dify-shapes.ts'
import { never, OPEN_EGRESS } from './harness.ts'

/** A MariaDB of the test's own, with a certificate for “localhost” of an authority of the test's own: the machine's has no TLS. */

const PATH = `${process.env.PATH}:/usr/sbin:/usr/local/sbin`
const directory = mkdtempSync(join(tmpdir(), 'toolferry-mariadb-'))
const file = (name: string): string => join(directory, name)
let server: ChildProcess
let port = 0

beforeAll(async () => {
  const run = (command: string, ...options: string[]): void =>
    void execFileSync(command, options, { cwd: directory, env: { ...process.env, PATH }, stdio: 'pipe' })
  const newKey = ['-newkey', 'rsa:2048', '-nodes']
  run(
    'openssl',
    'req',
    '-x509',
    ...newKey,
    '-keyout',
    'ca.key',
    '-out',
    'ca.pem',
    '-days',
    '2',
    '-subj',
    '/CN=Toolferry test',
  )
  run('openssl', 'req', ...newKey, '-keyout', 'server.key', '-out', 'server.csr', '-subj', '/CN=localhost')
  writeFileSync(file('san'), 'subjectAltName=DNS:localhost')
  run(
    'openssl',
    'x509',
    '-req',
    '-in',
    'server.csr',
    '-CA',
    'ca.pem',
    '-CAkey',
    'ca.key',
    '-CAcreateserial',
    '-out',
    'server.pem',
    '-days',
    '2',
    '-extfile',
    'san',
  )
  const user = `--user=${userInfo().username}`
  run(
    'mariadb-install-db',
    '--no-defaults',
    `--datadir=${file('data')}`,
    '--auth-root-authentication-method=normal',
    '--skip-test-db',
    user,
  )

  port = await freePort()
  server = spawn(
    'mariadbd',
    [
      '--no-defaults',
      user,
      `--datadir=${file('data')}`,
      `--socket=${file('s')}`,
      `--port=${port}`,
      '--bind-address=127.0.0.1',
      `--ssl-cert=${file('server.pem')}`,
      `--ssl-key=${file('server.key')}`,
      `--pid-file=${file('pid')}`,
      '--innodb-buffer-pool-size=8M',
      '--performance-schema=OFF',
    ],
    { env: { ...process.env, PATH }, stdio: 'ignore' },
  )
  const root = await vi.waitFor(
    () => mysql.createConnection({ socketPath: file('s'), user: 'root', multipleStatements: true }),
    {
      timeout: 60_000,
      interval: 100,
    },
  )
  await root.query(`CREATE DATABASE dify; USE dify; ${difySchemaSql('mysql', '1.16')}
    CREATE USER open@'127.0.0.1' IDENTIFIED BY 'pw'; GRANT ALL ON dify.* TO open@'127.0.0.1';
    CREATE USER sealed@'127.0.0.1' IDENTIFIED BY 'pw' REQUIRE SSL; GRANT ALL ON dify.* TO sealed@'127.0.0.1';`)
  await root.end()
})

afterAll(async () => {
  if (server.exitCode === null) {
    server.kill('SIGTERM')
    await once(server, 'exit')
  }
  rmSync(directory, { recursive: true, force: true })
})

async function check(change: {
  host?: string
  user?: string
  tls: 'disable' | 'prefer' | 'require' | 'verify-full'
}): Promise<PlatformCheck> {
  const platform = createDifyPlatform({
    database: { engine: 'mysql', host: '127.0.0.1', port, user: 'open', password: 'pw', database: 'dify', ...change },
    egress: { ...OPEN_EGRESS, checkedLookup: async () => ({ address: '127.0.0.1' }) },
  })
  try {
    return await platform.check({ signal: never() })
  } finally {
    await platform.close()
  }
}

it.each([
  ['disable', 'open', /, not encrypted$/],
  ['prefer', 'open', /, encrypted$/],
  ['require', 'open', /, encrypted$/],
  ['prefer', 'sealed', /, encrypted$/],
] as const)('with tls %s the user “%s” gets in', async (tls, user, detail) => {
  const found = await check({ tls, user })
  expect(found).toMatchObject({ ok: true, error: null })
  expect(found.findings[0]?.detail).toMatch(detail)
})

it('refuses a user who must come encrypted and does not', async () => {
  expect((await check({ tls: 'disable', user: 'sealed' })).error).toMatchObject({
    type: 'CredentialRefused',
    message: expect.stringContaining('set tls to “require”'),
  })
})

it('verifies the authority, then the name', async () => {
  const unknown = await check({ tls: 'verify-full', host: 'localhost' })
  expect(unknown.error).toMatchObject({ type: 'InvalidDesiredState', field: 'database.tls' })

  const before = getCACertificates('default')
  setDefaultCACertificates([...before, readFileSync(file('ca.pem'), 'utf8')])
  try {
    expect((await check({ tls: 'verify-full', host: 'localhost' })).findings[0]?.detail).toMatch(/, encrypted$/)
    const other = await check({ tls: 'verify-full', host: 'dify-db.example.com' })
    expect(other.error).toMatchObject({ type: 'InvalidDesiredState', field: 'database.tls' })
  } finally {
    setDefaultCACertificates(before)
  }
})

it('says when the server takes encrypted connections only', async () => {
  const root = await mysql.createConnection({ socketPath: file('s'), user: 'root' })
  await root.query('SET GLOBAL require_secure_transport = ON')
  try {
    // MySQL has an error of its own for this, MariaDB refuses the user.
    const found = await check({ tls: 'disable' })
    expect(found.error?.message).toContain('tls to “require”')
    expect(await check({ tls: 'prefer' })).toMatchObject({ ok: true })
  } finally {
    await root.query('SET GLOBAL require_secure_transport = OFF')
    await root.end()
  }
})

it('says when the server is read-only: a replica', async () => {
  const root = await mysql.createConnection({ socketPath: file('s'), user: 'root' })
  await root.query('SET GLOBAL read_only = ON')
  try {
    expect((await check({ tls: 'require' })).error).toMatchObject({
      type: 'InvalidDesiredState',
      field: 'database.host',
    })
  } finally {
    await root.query('SET GLOBAL read_only = OFF')
    await root.end()
  }
})

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port: free } = probe.address() as AddressInfo
  probe.close()
  return free
}
