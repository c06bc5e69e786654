import { afterAll, beforeAll, expect, it } from 'vitest'
import { createDifyPlatform } from '../../../src/platforms/dify/dify-platform.ts'
import type { PlatformCheck } from '../../../src/platforms/platform.ts'
import { difySchemaSql } from '../../support/dify-shapes.ts'
import { type OwnMysqlServer, startOwnMysqlServer } from '../../support/own-mysql-server.ts'
import { never, OPEN_EGRESS } from './harness.ts'

let server: OwnMysqlServer
beforeAll(async () => {
  server = await startOwnMysqlServer()
  await server.asRoot(`CREATE DATABASE dify; USE dify; ${difySchemaSql('mysql', '1.16')}
    CREATE USER open@'127.0.0.1' IDENTIFIED BY 'pw'; GRANT ALL ON dify.* TO open@'127.0.0.1';
    CREATE USER sealed@'127.0.0.1' IDENTIFIED BY 'pw' REQUIRE SSL; GRANT ALL ON dify.* TO sealed@'127.0.0.1';`)
})
afterAll(() => server.stop())

async function check(change: {
  host?: string
  user?: string
  tls: 'disable' | 'prefer' | 'require' | 'verify-full'
}): Promise<PlatformCheck> {
  const platform = createDifyPlatform({
    database: {
      engine: 'mysql',
      host: '127.0.0.1',
      port: server.port,
      user: 'open',
      password: 'pw',
      database: 'dify',
      ...change,
    },
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

  await server.whileTrusted(async () => {
    expect((await check({ tls: 'verify-full', host: 'localhost' })).findings[0]?.detail).toMatch(/, encrypted$/)
    const other = await check({ tls: 'verify-full', host: 'dify-db.example.com' })
    expect(other.error).toMatchObject({ type: 'InvalidDesiredState', field: 'database.tls' })
  })
})

it('says when the server takes encrypted connections only', async () => {
  await server.asRoot('SET GLOBAL require_secure_transport = ON')
  try {
    // MySQL has an error of its own for this, MariaDB refuses the user.
    const found = await check({ tls: 'disable' })
    expect(found.error?.message).toContain('tls to “require”')
    expect(await check({ tls: 'prefer' })).toMatchObject({ ok: true })
  } finally {
    await server.asRoot('SET GLOBAL require_secure_transport = OFF')
  }
})

it('says when the server is read-only: a replica', async () => {
  await server.asRoot('SET GLOBAL read_only = ON')
  try {
    expect((await check({ tls: 'require' })).error).toMatchObject({
      type: 'InvalidDesiredState',
      field: 'database.host',
    })
  } finally {
    await server.asRoot('SET GLOBAL read_only = OFF')
  }
})
