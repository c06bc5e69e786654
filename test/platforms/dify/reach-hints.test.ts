import { describe, expect, it } from 'vitest'
import { reachHints } from '../../../src/platforms/dify/reach-hints.ts'
import { createDifyDatabase } from '../../support/dify-database.ts'
import { ENGINES, never, openPlatform } from './harness.ts'

describe('reachHints', () => {
  it.each([
    ['https://gateway.example.com', []],
    ['https://8.8.8.8/base', []],
    ['http://8.8.8.8:8080', []],
    ['http://8.8.8.8', []],
    ['http://8.8.8.8:81', [/HTTP pass on port 81/]],
    ['https://8.8.8.8:8443', [/SSL_ports port 1025-65535/]],
    ['http://10.1.2.3:8080', [/SSRF_PROXY_ALLOW_PRIVATE_IPS=10\.1\.2\.3\/32,? ?/]],
    ['http://[fd12::1]:8080', [/SSRF_PROXY_ALLOW_PRIVATE_IPS=fd12::1\/128/]],
    ['http://100.64.1.1', [/PRIVATE_IPS=100\.64\.1\.1\/32/]],
    ['http://localhost:8080', [/“localhost” is the container/, /SSRF_PROXY_ALLOW_PRIVATE_DOMAINS=localhost/]],
    ['http://127.0.0.1:8080', [/this machine’s own/, /PRIVATE_IPS=127\.0\.0\.1\/32/]],
    ['https://192.168.0.9:8443', [/PRIVATE_IPS=192\.168\.0\.9\/32/, /the gateway’s is 8443/]],
    ['http://no-such-host.invalid', [/no-such-host\.invalid does not resolve here/]],
    ['not a URL', []],
  ])('of %s for a Dify that denies private addresses', async (url, patterns) => {
    const hints = (await reachHints(url, { deniesPrivate: true })).filter(
      (hint) => !/gateway\.example\.com does not resolve/.test(hint),
    )
    expect(hints).toHaveLength(patterns.length)
    for (const [i, pattern] of patterns.entries()) expect(hints[i]).toMatch(pattern)
  })

  it('says nothing of private addresses to an older Dify', async () => {
    expect(await reachHints('http://10.1.2.3:8080', { deniesPrivate: false })).toEqual([])
  })
})

it.each(ENGINES)('check on %s gives the hints for the gateway URL it was told', async (engine) => {
  const [older, newer] = [
    await createDifyDatabase({ engine, shape: '1.14' }),
    await createDifyDatabase({ engine, shape: '1.16' }),
  ]
  const gatewayUrl = 'http://10.1.2.3:8080'
  for (const [db, count] of [
    [older, 0],
    [newer, 1],
  ] as const) {
    const platform = openPlatform(db)
    const { hints } = await platform.check({ signal: never(), gatewayUrl })
    expect(hints.filter((hint) => hint.includes('SSRF_PROXY_ALLOW_PRIVATE_IPS=10.1.2.3/32'))).toHaveLength(count)
    await platform.close()
    await db.drop()
  }
})

it('a PostgreSQL that has Dify’s database under another name: the check names it', async () => {
  const dify = await createDifyDatabase()
  const plugin = await createDifyDatabase({
    schemaSql: 'CREATE TABLE plugins (id uuid); CREATE TABLE plugin_installations (id uuid);',
  })
  const role = `tf_other_${dify.connection.database.slice(-12)}`
  await dify.query(`CREATE ROLE ${role} LOGIN`)
  try {
    for (const database of [plugin.connection.database, 'tf_no_such_database']) {
      const platform = openPlatform(dify, { database, user: role })
      const { error, hints } = await platform.check({ signal: never() })
      await platform.close()
      expect(error).toMatchObject({ type: 'InvalidDesiredState', field: 'database.database' })
      expect(hints).toEqual([expect.stringMatching(/^On the same server “.*” looks? like Dify’s own database\.$/)])
    }
  } finally {
    await dify.query(`DROP ROLE ${role}`)
    await plugin.drop()
    await dify.drop()
  }
})
