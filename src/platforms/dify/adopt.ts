import type { ObservedObject } from '../../domain/object.ts'
import type { AdoptionQuery, SpaceRef } from '../platform.ts'
import type { DifyConnection, Neighbour } from './database.ts'
import { urlHash } from './normalise.ts'
import { observeProvider } from './provider-row.ts'
import { knownSchema, readFault } from './schema.ts'
import { isTenantId, judgeTenant } from './spaces.ts'

/**
 * A provider of the workspace that may become ours: the one with that id, else the one with our server identifier, with our URL,
 * or with the MCP server's own. Throws what keeps the workspace from being written at all.
 */
export async function findAdoptable(
  connection: DifyConnection,
  space: SpaceRef,
  query: AdoptionQuery,
): Promise<ObservedObject | null> {
  const fault = readFault(await knownSchema(connection))
  if (fault !== null) throw fault
  if (!isTenantId(space.remoteId)) throw judgeTenant(null).fault
  const tenantId = space.remoteId.toLowerCase()
  const url = query.desired.fields.url ?? ''
  const id = query.remoteId ?? (await idOfCandidate(connection, tenantId, query, url))
  if (id === null || !isTenantId(id)) return null
  const { tenant, own } = await connection.readSpace(tenantId, {
    ids: [id.toLowerCase()],
    identifiers: [],
    urlHashes: [],
  })
  const judged = judgeTenant(tenant)
  if (judged.fault !== null) throw judged.fault
  const row = own.find((one) => one.tenantId === tenantId)
  return row === undefined ? null : observeProvider(row, judged.key, url)
}

async function idOfCandidate(
  connection: DifyConnection,
  tenantId: string,
  query: AdoptionQuery,
  url: string,
): Promise<string | null> {
  const key = query.identity?.key ?? null
  const hashes = [urlHash(url), urlHash(query.upstreamUrl)]
  const { own, others } = await connection.readSpace(tenantId, {
    ids: [],
    identifiers: key === null ? [] : [key],
    urlHashes: hashes,
  })
  const rows = [...own, ...others].filter((row) => row.tenantId === tenantId && row.id !== query.identity?.id)
  const hits: ((row: Neighbour) => boolean)[] = [
    (row) => key !== null && (row.serverIdentifier === key || row.matchedIdentifier === key),
    ...hashes.map((hash) => (row: Neighbour) => row.serverUrlHash === hash),
  ]
  for (const hit of hits) {
    const found = rows.find(hit)
    if (found !== undefined) return found.id
  }
  return null
}
