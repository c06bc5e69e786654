import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { mintToken } from '../../src/domain/token.ts'
import { createEgressPolicy } from '../../src/egress/policy.ts'
import { discoverTools } from '../../src/mcp/discover.ts'
import { encryptToken, parseWorkspaceKey } from '../../src/platforms/dify/encryption.ts'
import { normaliseForDify, proposeDifyIdentity, urlHash } from '../../src/platforms/dify/normalise.ts'

/**
 * The least that puts the same rows into Dify: asks each MCP server once, one SELECT, one transaction with one INSERT a
 * workspace. No record of anything, no gateway, no token proven, nothing looked at before or after: the lower bound.
 */
export async function runBareScript(
  database: pg.ClientConfig,
  instances: readonly { id: string; name: string; url: string }[],
): Promise<void> {
  const egress = createEgressPolicy({ allow: [], deny: [], loopbackAllowed: true, ownPorts: new Set() })
  const signal = new AbortController().signal
  const found = []
  for (const instance of instances) {
    const { tools } = await discoverTools({
      url: instance.url,
      transport: 'streamable-http',
      headers: {},
      egress,
      signal,
      timeoutMs: 30_000,
    })
    found.push({ ...instance, tools })
  }
  // The name by which the counters know it.
  const client = new pg.Client({ ...database, application_name: 'toolferry' })
  await client.connect()
  const { rows: tenants } = await client.query(
    `SELECT t.id, t.encrypt_public_key, j.account_id FROM tenants t
     LEFT JOIN tenant_account_joins j ON j.tenant_id = t.id AND j.role = 'owner'`,
  )
  for (const tenant of tenants) {
    const key = parseWorkspaceKey(tenant.encrypt_public_key)
    const values: unknown[] = []
    for (const instance of found) {
      const { fields } = normaliseForDify({
        bindingId: instance.id,
        instanceId: instance.id,
        name: instance.name,
        description: '',
        url: `http://127.0.0.1:9/mcp-gateway/${instance.id}/mcp`,
        transport: 'streamable-http',
        authorization: `Bearer ${mintToken('tfg')}`,
        tools: instance.tools,
      })
      const identity = proposeDifyIdentity(instance.id)
      values.push(
        randomUUID(),
        tenant.id,
        tenant.account_id,
        fields.name,
        identity.key,
        encryptToken(key, fields.url ?? ''),
        urlHash(fields.url ?? ''),
        JSON.stringify({ Authorization: encryptToken(key, fields.authorization ?? '') }),
        fields.tools,
        fields.icon,
      )
    }
    const places = found.map((_, row) => {
      const at = (column: number) => `$${row * 10 + column}`
      return `(${[1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map(at).join(', ')}, '{}', true, now(), now(), 30, 300)`
    })
    await client.query('BEGIN')
    await client.query(
      `INSERT INTO tool_mcp_providers (id, tenant_id, user_id, name, server_identifier, server_url, server_url_hash,
         encrypted_headers, tools, icon, encrypted_credentials, authed, created_at, updated_at, timeout, sse_read_timeout)
       VALUES ${places.join(', ')}`,
      values,
    )
    await client.query('COMMIT')
  }
  await client.end()
}
