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
import { openUrl } from './instance-url.ts'
import { type Headers, openInstanceColumn } from './instances.ts'
import { currentRevision, REVISION_ROW } from './revision.ts'
import type { Store } from './store.ts'
import { openTokenHeaders, toTokenState } from './tokens.ts'

const TOKEN_COLUMNS = {
  id: true,
  lookupHash: true,
  instanceId: true,
  bindingId: true,
  sealedHeaders: true,
  state: true,
  expiresAt: true,
  revision: true,
} as const
const BINDING_COLUMNS = {
  id: true,
  enabled: true,
  expiresAt: true,
  sealedPassThrough: true,
  toolAllowList: true,
  revision: true,
} as const
type TokenRow = Pick<GatewayToken, keyof typeof TOKEN_COLUMNS>
type BindingRow = Pick<Binding, keyof typeof BINDING_COLUMNS>

const PAGE_ROWS = 2_000

/** Tokens with their bindings, as both engines give plain rows: a boolean may be a number. */
type JoinedRow = TokenRow & {
  b_id: string | null
  b_enabled: boolean | number | null
  b_expiresAt: Date | null
  b_sealedPassThrough: string | null
  b_toolAllowList: string | null
  b_revision: number | null
}
const JOINED_COLUMNS = [
  ...Object.keys(TOKEN_COLUMNS).map((name) => `t.${name} AS ${name}`),
  ...Object.keys(BINDING_COLUMNS).map((name) => `b.${name} AS b_${name}`),
].join(', ')
const PAGE_SQL = `SELECT ${JOINED_COLUMNS}
  FROM GatewayToken t LEFT JOIN Binding b ON b.id = t.bindingId
  WHERE t.id > ? AND t.state <> 'revoked' ORDER BY t.id LIMIT ?`
const BINDINGS_AT_ONCE = 500

/** All that a look-up needs of one moment; every sync makes one for each token that it mints. */
type FoundRow = JoinedRow & { nowRevision: number; i_revision: number | null }
const FIND_SQL = `SELECT ${JOINED_COLUMNS}, i.revision AS i_revision, r.value AS nowRevision
  FROM GatewayToken t JOIN Revision r ON r.id = ${REVISION_ROW}
  LEFT JOIN Binding b ON b.id = t.bindingId LEFT JOIN McpInstance i ON i.id = t.instanceId
  WHERE t.lookupHash = ?`
const MAX_KEPT_INSTANCES = 1_000

/**
 * What the gateway follows. Every reading takes the revision first and the rows after it: rows may then be newer than
 * the revision says and come once more with the next reading, but none is missed (revisions become visible in order).
 * For the same reason no record claims to be newer than that revision: one put together while something changed must
 * give way to the whole one of the next reading.
 */
export function createGatewayView(store: Store, { pageRows = PAGE_ROWS }: { pageRows?: number } = {}): GatewayView {
  /** Of look-ups: an instance is read and opened once for each of its revisions. */
  const kept = new Map<string, { revision: number; shown: GatewayInstance; inherited: Inherited }>()

  const instanceAt = async (id: string, ownRevision: number, atRevision: number) => {
    const known = kept.get(id)
    if (known?.revision === ownRevision) return known
    const [row] = await store.db.findRows('McpInstance', { id })
    if (row === undefined) return null
    const inherited = inheritedFrom(store, row)
    const read = { revision: row.revision, shown: toInstance(store, atRevision, row, inherited.headers), inherited }
    // A newer one than was asked for claims to be older than it is, so that the next reading replaces it.
    if (row.revision === ownRevision) {
      if (kept.size >= MAX_KEPT_INSTANCES) kept.clear()
      kept.set(id, read)
    }
    return read
  }

  return {
    tokenHash: store.tokenHash,
    onRevision: store.onRevision,
    async loadAll() {
      // A store that was restored counts the same revisions once more.
      kept.clear()
      const revision = await currentRevision(store.db)
      const instances = await store.db.mcpInstance.findMany({ where: { status: { not: 'deleted' } } })
      const defaults = inheritedOf(store, instances)
      const credentials: GatewayCredential[] = []
      // Page by page, and as plain rows: what is read of 100,000 tokens is many times larger than what is kept of them.
      for (let last = '', full = true; full; ) {
        const rows = await store.db.$queryRawUnsafe<JoinedRow[]>(PAGE_SQL, last, pageRows)
        const bindings = new Map(
          rows.flatMap((row) => (row.b_id === null ? [] : [[row.b_id, bindingOf(row)] as const])),
        )
        credentials.push(...(await toCredentials(store, revision, rows.map(tokenOf), defaults, bindings)))
        full = rows.length === pageRows
        last = rows.at(-1)?.id ?? ''
      }
      return { revision, instances: toInstances(store, revision, instances, defaults), credentials }
    },
    async changesSince(seen) {
      const revision = await currentRevision(store.db)
      if (revision <= seen) return { revision, instances: [], credentials: [] }
      const newer = { revision: { gt: seen } }
      const [instances, bindings, tokens] = [
        await store.db.mcpInstance.findMany({ where: newer }),
        await store.db.binding.findMany({ where: newer, select: { id: true } }),
        await store.db.gatewayToken.findMany({ where: newer, select: TOKEN_COLUMNS }),
      ]
      const touched = new Map<string, TokenRow>(tokens.map((token) => [token.id, token]))
      const live = { state: { not: 'revoked' } }
      const add = (rows: TokenRow[]) => {
        for (const row of rows) touched.set(row.id, row)
        return []
      }
      await readInChunks(
        bindings.map((row) => row.id),
        async (chunk) =>
          add(
            await store.db.gatewayToken.findMany({
              where: { bindingId: { in: chunk }, ...live },
              select: TOKEN_COLUMNS,
            }),
          ),
      )
      await readInChunks(
        instances.map((row) => row.id),
        async (chunk) =>
          add(
            await store.db.gatewayToken.findMany({
              where: { instanceId: { in: chunk }, ...live },
              select: TOKEN_COLUMNS,
            }),
          ),
      )
      return toRecords(store, revision, instances, [...touched.values()])
    },
    async findByHash(hash): Promise<FoundCredential | null> {
      const [row] = await store.db.$queryRawUnsafe<FoundRow[]>(FIND_SQL, hash)
      if (row === undefined || row.i_revision === null) return null
      const revision = Number(row.nowRevision)
      const found = await instanceAt(row.instanceId, Number(row.i_revision), revision)
      if (found === null) return null
      const binding = row.b_id === null ? null : bindingOf(row)
      return {
        credential: toCredential(store, revision, tokenOf(row), binding, found.inherited),
        instance: found.shown,
      }
    },
  }
}

function tokenOf(row: JoinedRow): TokenRow {
  const { id, lookupHash, instanceId, bindingId, sealedHeaders, state, expiresAt, revision } = row
  return { id, lookupHash, instanceId, bindingId, sealedHeaders, state, expiresAt, revision: Number(revision) }
}

function bindingOf(row: JoinedRow): BindingRow {
  return {
    id: row.b_id ?? '',
    enabled: Boolean(row.b_enabled),
    expiresAt: row.b_expiresAt,
    sealedPassThrough: row.b_sealedPassThrough,
    toolAllowList: row.b_toolAllowList,
    revision: Number(row.b_revision),
  }
}

/** What a binding that inherits has from its instance. */
type Inherited = { instanceId: string; headers: Headers; revision: number }

async function toRecords(
  store: Store,
  revision: number,
  instances: McpInstance[],
  tokens: TokenRow[],
): Promise<GatewayRecords> {
  const defaults = inheritedOf(store, instances)
  return {
    revision,
    credentials: await toCredentials(store, revision, tokens, defaults, await readBindings(store.db, tokens)),
    instances: toInstances(store, revision, instances, defaults),
  }
}

function inheritedOf(store: Store, instances: readonly McpInstance[]): Map<string, Inherited> {
  return new Map(instances.map((row) => [row.id, inheritedFrom(store, row)]))
}

function inheritedFrom(store: Store, { id, sealedDefaultPassThrough, revision }: McpInstance): Inherited {
  const headers = openInstanceColumn(store, id, 'sealedDefaultPassThrough', sealedDefaultPassThrough)
  return { instanceId: id, headers, revision }
}

function toInstances(
  store: Store,
  revision: number,
  rows: readonly McpInstance[],
  defaults: ReadonlyMap<string, Inherited>,
): GatewayInstance[] {
  return rows.map((row) => toInstance(store, revision, row, defaults.get(row.id)?.headers ?? {}))
}

/** `defaults` gets those of the tokens' instances that it lacks. */
async function toCredentials(
  store: Store,
  revision: number,
  tokens: readonly TokenRow[],
  defaults: Map<string, Inherited>,
  bindings: ReadonlyMap<string, BindingRow>,
): Promise<GatewayCredential[]> {
  const others = tokens.map((token) => token.instanceId).filter((id) => !defaults.has(id))
  const missing = await readInChunks(others, (chunk) => store.db.mcpInstance.findMany({ where: { id: { in: chunk } } }))
  for (const [id, inherited] of inheritedOf(store, missing)) defaults.set(id, inherited)
  return tokens.map((token) => {
    const binding = token.bindingId === null ? null : (bindings.get(token.bindingId) ?? null)
    const inherited = defaults.get(token.instanceId) ?? { instanceId: token.instanceId, headers: {}, revision: 0 }
    return toCredential(store, revision, token, binding, inherited)
  })
}

async function readBindings(db: Db, tokens: readonly TokenRow[]): Promise<Map<string, BindingRow>> {
  const ids = tokens.flatMap((token) => token.bindingId ?? [])
  const rows = await readInChunks(
    ids,
    (chunk) => db.binding.findMany({ where: { id: { in: chunk } }, select: BINDING_COLUMNS }),
    BINDINGS_AT_ONCE,
  )
  return new Map(rows.map((row) => [row.id, row]))
}

function toInstance(store: Store, atRevision: number, row: McpInstance, defaultPassThrough: Headers): GatewayInstance {
  return {
    id: row.id,
    url: openUrl(store, row),
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
  token: TokenRow,
  binding: BindingRow | null,
  defaults: Inherited,
): GatewayCredential {
  const orphan = token.bindingId !== null && binding === null
  const own = binding === null ? openTokenHeaders(store, token) : openBindingPassThrough(store, binding)
  return {
    tokenId: token.id,
    hash: token.lookupHash,
    // One text for all tokens of an instance.
    instanceId: defaults.instanceId,
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
