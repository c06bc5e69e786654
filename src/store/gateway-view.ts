import type { McpTransport } from '../domain/tool.ts'
import type {
  FoundCredential,
  GatewayCredential,
  GatewayInstance,
  GatewayInstanceLimits,
  GatewayRecords,
  GatewayView,
} from '../gateway/view.ts'
import { openBindingPassThrough } from './bindings.ts'
import type { Db } from './client.ts'
import { parseJson, parseJsonOrNull, readInChunks } from './columns.ts'
import type { Binding, GatewayToken, McpInstance } from './generated/sqlite/client.ts'
import { type Headers, openInstanceColumn } from './instances.ts'
import { currentRevision } from './revision.ts'
import type { Store } from './store.ts'
import { openTokenHeaders, toTokenState } from './tokens.ts'

/**
 * What the gateway follows. Every reading takes the revision first and the rows after it: rows may then be newer than
 * the revision says and come once more with the next reading, but none is missed (revisions become visible in order).
 * For the same reason no record claims to be newer than that revision: one put together while something changed must
 * give way to the whole one of the next reading.
 */
export function createGatewayView(store: Store): GatewayView {
  return {
    tokenHash: store.tokenHash,
    onRevision: store.onRevision,
    async loadAll() {
      const revision = await currentRevision(store.db)
      const instances = await store.db.mcpInstance.findMany({ where: { status: { not: 'deleted' } } })
      const tokens = await store.db.gatewayToken.findMany({ where: { state: { not: 'revoked' } } })
      return toRecords(store, revision, instances, tokens, instances)
    },
    async changesSince(seen) {
      const revision = await currentRevision(store.db)
      if (revision <= seen) return { revision, instances: [], credentials: [] }
      const newer = { revision: { gt: seen } }
      const [instances, bindings, tokens] = [
        await store.db.mcpInstance.findMany({ where: newer }),
        await store.db.binding.findMany({ where: newer, select: { id: true } }),
        await store.db.gatewayToken.findMany({ where: newer }),
      ]
      const touched = new Map(tokens.map((token) => [token.id, token]))
      const live = { state: { not: 'revoked' } }
      const add = (rows: GatewayToken[]) => {
        for (const row of rows) touched.set(row.id, row)
        return []
      }
      await readInChunks(
        bindings.map((row) => row.id),
        async (chunk) => add(await store.db.gatewayToken.findMany({ where: { bindingId: { in: chunk }, ...live } })),
      )
      await readInChunks(
        instances.map((row) => row.id),
        async (chunk) => add(await store.db.gatewayToken.findMany({ where: { instanceId: { in: chunk }, ...live } })),
      )
      return toRecords(store, revision, instances, [...touched.values()], instances)
    },
    async findByHash(hash): Promise<FoundCredential | null> {
      const revision = await currentRevision(store.db)
      const token = await store.db.gatewayToken.findUnique({ where: { lookupHash: hash } })
      if (token === null) return null
      const instance = await store.db.mcpInstance.findUnique({ where: { id: token.instanceId } })
      if (instance === null) return null
      const records = await toRecords(store, revision, [instance], [token], [instance])
      const [credential] = records.credentials
      const [shown] = records.instances
      return credential === undefined || shown === undefined ? null : { credential, instance: shown }
    },
  }
}

async function toRecords(
  store: Store,
  revision: number,
  instances: McpInstance[],
  tokens: GatewayToken[],
  known: McpInstance[],
): Promise<GatewayRecords> {
  const bindings = await readBindings(store.db, tokens)
  const defaults = new Map<string, { headers: Headers; revision: number }>()
  const inherit = (row: McpInstance) => {
    const headers = openInstanceColumn(store, row.id, 'sealedDefaultPassThrough', row.sealedDefaultPassThrough)
    defaults.set(row.id, { headers, revision: row.revision })
  }
  for (const row of known) inherit(row)
  const others = tokens.map((token) => token.instanceId).filter((id) => !defaults.has(id))
  const missing = await readInChunks(others, (chunk) => store.db.mcpInstance.findMany({ where: { id: { in: chunk } } }))
  for (const row of missing) inherit(row)
  return {
    revision,
    instances: instances.map((row) => toInstance(store, revision, row, defaults.get(row.id)?.headers ?? {})),
    credentials: tokens.map((token) => {
      const binding = token.bindingId === null ? null : (bindings.get(token.bindingId) ?? null)
      return toCredential(
        store,
        revision,
        token,
        binding,
        defaults.get(token.instanceId) ?? { headers: {}, revision: 0 },
      )
    }),
  }
}

async function readBindings(db: Db, tokens: GatewayToken[]): Promise<Map<string, Binding>> {
  const ids = tokens.flatMap((token) => token.bindingId ?? [])
  const rows = await readInChunks(ids, (chunk) => db.binding.findMany({ where: { id: { in: chunk } } }))
  return new Map(rows.map((row) => [row.id, row]))
}

function toInstance(store: Store, atRevision: number, row: McpInstance, defaultPassThrough: Headers): GatewayInstance {
  return {
    id: row.id,
    url: row.url,
    // The store wrote these words itself.
    transport: row.transport as McpTransport,
    headers: openInstanceColumn(store, row.id, 'sealedHeaders', row.sealedHeaders),
    defaultPassThrough,
    accessMode: row.accessMode === 'anonymous' ? 'anonymous' : 'token',
    forwardAuthorization: row.forwardAuthorization,
    status: row.status === 'active' || row.status === 'inactive' ? row.status : 'removing',
    limits: parseJson<GatewayInstanceLimits>(row.limits),
    revision: Math.min(row.revision, atRevision),
  }
}

/** A token whose binding is gone is as good as revoked. */
function toCredential(
  store: Store,
  atRevision: number,
  token: GatewayToken,
  binding: Binding | null,
  defaults: { headers: Headers; revision: number },
): GatewayCredential {
  const orphan = token.bindingId !== null && binding === null
  const own = binding === null ? openTokenHeaders(store, token) : openBindingPassThrough(store, binding)
  return {
    tokenId: token.id,
    hash: token.lookupHash,
    instanceId: token.instanceId,
    bindingId: token.bindingId,
    enabled: binding?.enabled ?? token.bindingId === null,
    bindingExpiresAt: binding?.expiresAt ?? null,
    tokenExpiresAt: token.expiresAt,
    state: orphan ? 'revoked' : toTokenState(token.state),
    passThroughHeaders: own ?? defaults.headers,
    toolAllowList: parseJsonOrNull<string[]>(binding?.toolAllowList ?? null),
    revision: Math.min(
      Math.max(token.revision, binding?.revision ?? 0, own === null ? defaults.revision : 0),
      atRevision,
    ),
  }
}
