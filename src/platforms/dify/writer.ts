import { setTimeout as delay } from 'node:timers/promises'
import { ToolferryError } from '../../domain/errors.ts'
import type { RemoteIdentity } from '../../domain/object.ts'
import type { AppliedObject, PlatformChange, SpaceRef, SpaceWriter, WriteOptions } from '../platform.ts'
import { findForeign } from './conflicts.ts'
import type { Column, DifyConnection, DifyTimeouts, ProviderRow, WriteView } from './database.ts'
import { UniqueViolation } from './database.ts'
import type { WorkspaceKey } from './encryption.ts'
import { encryptToken } from './encryption.ts'
import { numberedName, urlHash } from './normalise.ts'
import {
  assertWellWritten,
  describeProvider,
  mergeAuthorization,
  mustResetCredentials,
  observeProvider,
} from './provider-row.ts'
import type { DifySchema } from './schema.ts'
import { headerFault, knownSchema, writeFault } from './schema.ts'
import { isTenantId, judgeTenant } from './spaces.ts'

const LOCK_POLL_MS = 100
const NAME_ATTEMPTS = 200

/** How many of them are looked for along with everything else; more cost a statement of their own. */
const FIRST_NAMES = 10

/** Stands for "nobody": Dify shows such a provider's author as Anonymous (dify.md §1.4). */
const NO_ACCOUNT = '00000000-0000-0000-0000-000000000000'

type Space = { connection: DifyConnection; schema: DifySchema; tenantId: string; options: WriteOptions }

/**
 * Takes the space's lock on a connection of its own and answers its writer; the lock goes with the connection, whatever becomes
 * of the process. Rejects with SpaceBusy when another writer keeps it longer than `spaceLockMs`. Owns `connection` from the start.
 */
export async function openSpaceWriter(
  connection: DifyConnection,
  space: SpaceRef,
  timeouts: DifyTimeouts,
  options: WriteOptions,
): Promise<SpaceWriter> {
  try {
    const schema = await knownSchema(connection)
    const fault = writeFault(schema) ?? (isTenantId(space.remoteId) ? null : judgeTenant(null).fault)
    if (fault !== null) throw fault
    const tenantId = space.remoteId.toLowerCase()
    await lockSpace(connection, tenantId, timeouts.spaceLockMs, options.signal)
    return spaceWriter({ connection, schema, tenantId, options })
  } catch (error) {
    await connection.close()
    throw error
  }
}

function spaceWriter(space: Space): SpaceWriter {
  // One connection holds one transaction: calls that come at once take turns.
  let last: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const turn = last.then(work, work)
    last = turn.catch(() => {})
    return turn
  }
  return {
    apply: (change) => inTurn(() => applyWithRetry(space, change)),
    // An identity is recorded before it is first written, so without one there is nothing.
    remove: (identity) => inTurn(async () => (identity === null ? undefined : await removeProvider(space, identity))),
    [Symbol.asyncDispose]: () => inTurn(() => space.connection.close()),
  }
}

async function lockSpace(
  connection: DifyConnection,
  tenantId: string,
  waitMs: number,
  signal: AbortSignal,
): Promise<void> {
  const giveUpAt = performance.now() + waitMs
  while (!(await connection.tryLockSpace(tenantId))) {
    if (performance.now() >= giveUpAt) {
      throw new ToolferryError('SpaceBusy', 'Another run is writing to this workspace of Dify.')
    }
    // An abort is reported by the next query, in its own words.
    await delay(LOCK_POLL_MS, undefined, { signal }).catch(() => {})
  }
}

/** A unique key that another session took between our look and our write: look again, once (dify.md §10.7). */
async function applyWithRetry(space: Space, change: PlatformChange): Promise<AppliedObject> {
  try {
    return await applyOnce(space, change)
  } catch (error) {
    if (!(error instanceof UniqueViolation)) throw error
  }
  try {
    return await applyOnce(space, change)
  } catch (error) {
    throw error instanceof UniqueViolation ? error.mapped : error
  }
}

/** One provider, one transaction (dify.md §10). */
function applyOnce(space: Space, change: PlatformChange): Promise<AppliedObject> {
  const { connection, schema, tenantId, options } = space
  const { desired } = change
  const identity = checkedIdentity(change.identity)
  const url = fieldOf(desired.fields, 'url')
  return connection.transaction(async () => {
    const view = await connection.lookForWrite(tenantId, {
      id: identity.id,
      identifier: identity.key,
      urlHash: urlHash(url),
      names: candidateNames(fieldOf(desired.fields, 'name'), FIRST_NAMES),
    })
    const { key, fault } = judgeTenant(view.tenant)
    if (fault !== null) throw fault
    const own = view.own?.tenantId === tenantId ? view.own : null

    const wanted = change.fieldsToWrite(own === null ? null : observeProvider(own, key, url))
    const fields = own === null ? Object.keys(desired.fields) : wanted
    if (own !== null && fields.length === 0) return applied(own, key, url, false)

    const headerless = fields.includes('authorization')
      ? headerFault(schema, fieldOf(desired.fields, 'authorization'))
      : null
    if (headerless !== null) throw headerless
    refuseForeign(tenantId, view, { ...identity, key: own?.serverIdentifier ?? identity.key }, own, fields, url)
    const values = columnsFor({ fields, desired: desired.fields, own, key, schema })
    if (fields.includes('name')) values.name = await freeName(space, view, identity.id, fieldOf(desired.fields, 'name'))

    let written: ProviderRow | null
    if (own === null) {
      await options.fence()
      written = await connection.insertProvider(identity.id, {
        tenant_id: tenantId,
        user_id: view.ownerAccountId ?? NO_ACCOUNT,
        server_identifier: identity.key,
        encrypted_credentials: '{}',
        ...(schema.wantsIdentityMode ? { identity_mode: 'off' } : {}),
        ...values,
      })
      if (written === null) throw new ToolferryError('Bug', 'The provider is not there after it was written.')
    } else {
      await options.fence()
      written = await connection.updateProvider(own.id, tenantId, values)
      if (written === null) throw new ToolferryError('Unavailable', 'The provider changed while it was being written.')
    }
    assertWellWritten(written, key, desired.fields, fields)
    return applied(written, key, url, true)
  })
}

/** Only the exact provider we recorded: id, workspace and identifier (dify.md §10.8). */
function removeProvider(space: Space, identity: RemoteIdentity): Promise<void> {
  const { connection, tenantId, options } = space
  const { id, key } = checkedIdentity(identity)
  return connection.transaction(async () => {
    const row = await connection.lockProvider(id)
    if (row === null || row.tenantId !== tenantId) return
    if (row.serverIdentifier !== key) {
      throw new ToolferryError(
        'Conflict',
        `The provider ${describeProvider(row)} was given another server identifier in Dify (it was “${key}”), so it is not removed. ` +
          'Remove it in Dify, or give it back its identifier there.',
      )
    }
    await options.fence()
    await connection.deleteProvider(id, tenantId, key)
  })
}

function refuseForeign(
  tenantId: string,
  view: WriteView,
  identity: { id: string; key: string },
  own: ProviderRow | null,
  fields: readonly string[],
  url: string,
): void {
  const foreign = findForeign(view.own === null ? view.others : [view.own, ...view.others], {
    tenantId,
    id: identity.id,
    identifier: identity.key,
    urlHash: urlHash(url),
  })
  if (foreign === null) return
  // A provider that stays at its own URL is not disturbed by who else wants this one.
  if (own !== null && foreign.because === 'url' && !fields.includes('url')) return
  throw new ToolferryError('Conflict', foreign.message)
}

/** The columns for the named fields; of an existing row only what these fields stand for. */
function columnsFor(input: {
  fields: readonly string[]
  desired: Record<string, string>
  own: ProviderRow | null
  key: WorkspaceKey
  schema: DifySchema
}): Record<string, Column> {
  const { fields, desired, own, key, schema } = input
  const columns: Record<string, Column> = {}
  for (const field of fields) {
    const value = fieldOf(desired, field)
    switch (field) {
      case 'name':
        // The free form of it is found later.
        break
      case 'url':
        columns.server_url = encryptToken(key, value)
        columns.server_url_hash = urlHash(value)
        break
      case 'authorization':
        if (!schema.has('encrypted_headers')) break
        columns.encrypted_headers = mergeAuthorization(
          own?.encryptedHeaders ?? null,
          value === '' ? null : encryptToken(key, value),
        )
        break
      case 'authed':
        columns.authed = value === 'true'
        break
      case 'tools':
      case 'icon':
        columns[field] = value
        break
      case 'timeout':
      case 'sse_read_timeout':
        if (schema.has(field)) columns[field] = Number(value)
        break
      default:
        throw new ToolferryError('Bug', `A Dify provider has no field “${field}”.`)
    }
  }
  const touchesAccess = fields.includes('url') || fields.includes('authorization')
  const urlChanged = fields.includes('url') && own?.serverUrlHash !== columns.server_url_hash
  if (
    own !== null &&
    touchesAccess &&
    mustResetCredentials(own.encryptedCredentials, { urlChanged, mayBe19: schema.mayBe19 })
  ) {
    columns.encrypted_credentials = '{}'
  }
  return columns
}

function candidateNames(name: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => numberedName(name, i + 1))
}

async function freeName(space: Space, view: WriteView, id: string, name: string): Promise<string> {
  const first = candidateNames(name, FIRST_NAMES).find((candidate) => !view.takenNames.has(candidate))
  if (first !== undefined) return first
  const candidates = candidateNames(name, NAME_ATTEMPTS)
  const taken = await space.connection.takenNames(space.tenantId, id, candidates)
  const free = candidates.find((candidate) => !taken.has(candidate))
  if (free === undefined) {
    throw new ToolferryError('Conflict', `Too many MCP providers of the workspace are called «${name}» already.`)
  }
  return free
}

function applied(row: ProviderRow, key: WorkspaceKey, url: string, wrote: boolean): AppliedObject {
  const { identity, stored, shown, tools } = observeProvider(row, key, url)
  return { identity, stored, shown, tools, wrote }
}

function checkedIdentity(identity: RemoteIdentity | null): { id: string; key: string } {
  if (identity === null || identity.key === null || !isTenantId(identity.id)) {
    throw new ToolferryError('Bug', 'A Dify provider needs an identity (id and identifier) before it is written.')
  }
  return { id: identity.id.toLowerCase(), key: identity.key }
}

function fieldOf(fields: Record<string, string>, field: string): string {
  const value = fields[field]
  if (value === undefined) throw new ToolferryError('Bug', `The desired Dify provider lacks its field “${field}”.`)
  return value
}
