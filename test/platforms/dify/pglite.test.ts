import { PGlite } from '@electric-sql/pglite'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type PgliteServer, startPgliteServer } from '../../../demo/dify/pglite-server.ts'
import { DIFY_SCHEMA_SQL } from '../../../demo/dify/schema.ts'
import { createDifyPlatform } from '../../../src/platforms/dify/dify-platform.ts'
import type { Platform } from '../../../src/platforms/platform.ts'
import { checkStoredRows, testKey } from '../../support/dify-database.ts'
import { changeFor, desiredObject, never, OPEN_EGRESS, openWriter } from './harness.ts'

/** The demo's database: one session for all clients, no TLS, no cancel requests. */
const ACCOUNT = { user: 'dify', password: `a b'c"d`, database: 'dify' }
const WORKSPACES = Array.from({ length: 3 }, (_, i) => ({ tenantId: `00000000-0000-4000-8000-00000000000${i}` }))

let db: PGlite
let server: PgliteServer
let platform: Platform

beforeAll(async () => {
  db = await PGlite.create()
  await db.exec(DIFY_SCHEMA_SQL)
  for (const { tenantId } of WORKSPACES) {
    await db.query(`INSERT INTO tenants (id, name, encrypt_public_key) VALUES ($1, 'w', $2)`, [
      tenantId,
      testKey().publicKeyPem,
    ])
  }
  server = await startPgliteServer(db, ACCOUNT)
  const { host, port } = server
  platform = createDifyPlatform({
    database: { engine: 'postgresql', host, port, ...ACCOUNT, tls: 'prefer' },
    egress: OPEN_EGRESS,
  })
})

afterAll(async () => {
  await platform.close()
  await server.close()
  await db.close()
})

it('is checked, without TLS though it was preferred, with a password of quotes and spaces', async () => {
  const check = await platform.check({ signal: never() })
  expect(check).toMatchObject({ ok: true, spaces: 3 })
  expect(check.findings[0]?.detail).toContain('not encrypted')
  expect(check.hints[0]).toContain('no TLS')
})

it('refuses a wrong password', async () => {
  const { host, port } = server
  const wrong = createDifyPlatform({
    database: { engine: 'postgresql', host, port, ...ACCOUNT, password: 'wrong', tls: 'prefer' },
    egress: OPEN_EGRESS,
  })
  expect((await wrong.check({ signal: never() })).error).toMatchObject({ type: 'CredentialRefused' })
  await wrong.close()
})

it('says which field is wrong when TLS is required and there is none', async () => {
  const { host, port } = server
  const strict = createDifyPlatform({
    database: { engine: 'postgresql', host, port, ...ACCOUNT, tls: 'require' },
    egress: OPEN_EGRESS,
  })
  expect((await strict.check({ signal: never() })).error).toMatchObject({
    type: 'InvalidDesiredState',
    field: 'database.tls',
  })
  await strict.close()
})

it('takes writers of several spaces at once', async () => {
  await Promise.all(
    WORKSPACES.map(async (workspace) => {
      await using writer = await openWriter(platform, workspace)
      for (const instanceId of ['a', 'b', 'c']) {
        const desired = platform.normalise(desiredObject({ instanceId, name: instanceId }))
        await writer.apply(changeFor(desired, platform.proposeIdentity(instanceId)))
      }
    }),
  )
  const { rows } = await db.query<{ row: Parameters<typeof checkStoredRows>[0][number] }>(
    'SELECT row_to_json(p) AS row FROM tool_mcp_providers p',
  )
  expect(
    await checkStoredRows(
      rows.map(({ row }) => row),
      testKey().privateKeyPem,
    ),
  ).toHaveLength(9)
})

it('rolls back when a write is aborted', async () => {
  const [workspace] = WORKSPACES
  if (workspace === undefined) throw new Error('there is no workspace')
  const controller = new AbortController()
  {
    await using writer = await openWriter(platform, workspace, {
      signal: controller.signal,
      fence: async () => controller.abort(new Error('too late')),
    })
    const desired = platform.normalise(desiredObject({ instanceId: 'd', name: 'd' }))
    await expect(writer.apply(changeFor(desired, platform.proposeIdentity('d')))).rejects.toThrow('too late')
  }
  expect((await db.query(`SELECT 1 FROM tool_mcp_providers WHERE name = 'd'`)).rows).toEqual([])
  expect((await platform.check({ signal: never() })).ok).toBe(true)
})
