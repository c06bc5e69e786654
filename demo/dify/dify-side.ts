import { createHash } from 'node:crypto'
import type pg from 'pg'
import { decryptDifyValue } from './decrypt.ts'
import { type DifyMcpSession, openAsDify } from './mcp-call.ts'
import type { DemoWorkspace } from './workspaces.ts'

/** Dify's own view of its database: what it reads, decrypts and does with a provider row (dify.md §3.2, §5.4). */
export type DifySide = {
  /** False for a real Dify: its private keys are not ours to have. */
  canDecrypt: boolean
  providers(workspaceId: string): Promise<DifyProvider[]>
  /** The workspaces' provider rows, whole, with PostgreSQL's own mark of the last write (xmin): two equal snapshots = nothing was written. */
  snapshot(workspaceIds: string[]): Promise<Record<string, unknown>[]>
  /** Reads the row afresh, decrypts it and connects, as Dify does on every tool call. */
  connect(workspaceId: string, providerId: string): Promise<DifyMcpSession>
}

export type DifyProvider = { id: string; name: string; serverIdentifier: string; authed: boolean; tools: string[] }

export type DifyRow = {
  id: string
  server_url: string
  server_url_hash: string
  encrypted_headers: string | null
}

/** `workspaces` is empty for a real Dify database. */
export function createDifySide(pool: pg.Pool, workspaces: DemoWorkspace[]): DifySide {
  const privateKeys = new Map(workspaces.map((workspace) => [workspace.id, workspace.privateKeyPem]))
  return {
    canDecrypt: workspaces.length > 0,
    providers: async (workspaceId) => {
      const { rows } = await pool.query(
        'SELECT id, name, server_identifier, authed, tools FROM tool_mcp_providers WHERE tenant_id = $1 ORDER BY name',
        [workspaceId],
      )
      return rows.map((row) => ({
        id: row.id,
        name: row.name,
        serverIdentifier: row.server_identifier,
        authed: row.authed,
        tools: (JSON.parse(row.tools) as { name: string }[]).map((tool) => tool.name),
      }))
    },
    snapshot: async (workspaceIds) => {
      const { rows } = await pool.query(
        `SELECT xmin::text AS xmin, ctid::text AS ctid, to_jsonb(p) AS row FROM tool_mcp_providers p
         WHERE tenant_id = ANY($1::uuid[]) ORDER BY id`,
        [workspaceIds],
      )
      return rows
    },
    connect: async (workspaceId, providerId) => {
      const privateKey = privateKeys.get(workspaceId)
      if (privateKey === undefined) throw new Error(`The private key of workspace ${workspaceId} is not here.`)
      const { rows } = await pool.query<DifyRow>(
        'SELECT id, server_url, server_url_hash, encrypted_headers FROM tool_mcp_providers WHERE tenant_id = $1 AND id = $2',
        [workspaceId, providerId],
      )
      const row = rows[0]
      if (row === undefined) throw new Error(`There is no provider ${providerId} in workspace ${workspaceId}.`)
      const { url, headers } = openRow(row, privateKey)
      return openAsDify(url, headers)
    },
  }
}

/** The row's URL and headers in clear. Throws where Dify would fail, and when the hash does not belong to the URL (dify.md §2.5). */
export function openRow(row: DifyRow, privateKeyPem: string): { url: string; headers: Record<string, string> } {
  const url = decryptDifyValue(row.server_url, privateKeyPem)
  if (createHash('sha256').update(url).digest('hex') !== row.server_url_hash) {
    throw new Error(`server_url_hash of provider ${row.id} does not belong to its URL.`)
  }
  const stored = row.encrypted_headers === null ? {} : (JSON.parse(row.encrypted_headers) as Record<string, string>)
  const headers = Object.entries(stored).map(([name, value]) => [name, decryptDifyValue(value, privateKeyPem)])
  return { url, headers: Object.fromEntries(headers) }
}
