import { createHash, randomUUID } from 'node:crypto'
import type { NormalisedObject, RemoteIdentity } from '../../../src/domain/object.ts'
import type { FieldDigests, PlannedTarget } from '../../../src/domain/plan.ts'
import { compareFields, digestsAfterWrite, planTarget } from '../../../src/domain/plan.ts'
import type { DifyDatabase } from '../../../src/platforms/dify/database.ts'
import { createDifyPlatform, type DifyPlatformOptions } from '../../../src/platforms/dify/dify-platform.ts'
import { encryptToken } from '../../../src/platforms/dify/encryption.ts'
import type {
  AppliedObject,
  DesiredObject,
  Platform,
  PlatformChange,
  SpaceRef,
  SpaceWriter,
} from '../../../src/platforms/platform.ts'
import { type DifyTestDatabase, testKey } from '../../support/dify-database.ts'

export const ENGINES = ['postgresql', 'mysql'] as const

/** Lets every host pass: whether a host may be called is the egress room's own matter. */
export const OPEN_EGRESS = { checkHost: (host: string): string => host }

export function openPlatform(
  db: DifyTestDatabase,
  change: Partial<DifyDatabase> = {},
  more: Partial<DifyPlatformOptions> = {},
): Platform {
  return createDifyPlatform({ database: { ...db.connection, tls: 'disable', ...change }, egress: OPEN_EGRESS, ...more })
}

export function never(): AbortSignal {
  return new AbortController().signal
}

export function spaceOf(workspace: { tenantId: string }): SpaceRef {
  return { spaceId: `space-${workspace.tenantId}`, remoteId: workspace.tenantId }
}

export function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

export function desiredObject(change: Partial<DesiredObject> = {}): DesiredObject {
  const instanceId = change.instanceId ?? 'instance-1'
  return {
    bindingId: `binding of ${instanceId}`,
    instanceId,
    name: 'Everything',
    description: 'All kinds of tools',
    url: `https://gateway.example.com/mcp-gateway/${instanceId}/mcp`,
    transport: 'streamable-http',
    authorization: 'Bearer tfg_0123456789abcdefghijABCDEFGHIJ01abcdef',
    tools: [
      {
        name: 'echo',
        description: 'Says it again',
        inputSchema: { type: 'object', properties: { message: { type: 'string' } }, required: ['message'] },
      },
    ],
    ...change,
  }
}

export function changeFor(
  desired: NormalisedObject,
  identity: RemoteIdentity | null,
  fieldsToWrite: PlatformChange['fieldsToWrite'] = () => Object.keys(desired.fields),
): PlatformChange {
  return {
    action: 'create',
    bindingId: 'binding-1',
    identity,
    desired,
    checkpoint: null,
    saveCheckpoint: async () => {},
    clearCheckpoint: async () => {},
    fieldsToWrite,
  }
}

export async function openWriter(
  platform: Platform,
  workspace: { tenantId: string },
  options: { signal?: AbortSignal; fence?: () => Promise<void> } = {},
): Promise<SpaceWriter> {
  return await platform.openSpace(spaceOf(workspace), {
    signal: options.signal ?? never(),
    fence: options.fence ?? (async () => {}),
  })
}

/** A provider as a user makes it in Dify's own dialog: NULL credentials and headers. */
export async function addForeign(
  db: DifyTestDatabase,
  workspace: { tenantId: string },
  change: { name?: string; identifier?: string; url?: string; tenantId?: string } = {},
): Promise<string> {
  const id = randomUUID()
  const url = change.url ?? `https://foreign.example.com/${id}/mcp`
  await db.query(
    `INSERT INTO tool_mcp_providers (id, name, server_identifier, server_url, server_url_hash, icon, tenant_id, user_id, authed, tools)
     VALUES ($1, $2, $3, $4, $5, '{"content":"🧿","background":"#EFF1F5"}', $6, $7, false, '[]')`,
    [
      id,
      change.name ?? `Foreign ${id.slice(0, 8)}`,
      change.identifier ?? `f-${id.slice(0, 8)}`,
      encryptToken(testKey().publicKeyPem, url),
      createHash('sha256').update(url).digest('hex'),
      change.tenantId ?? workspace.tenantId,
      randomUUID(),
    ],
  )
  return id
}

export type SyncedTarget = { plan: PlannedTarget; applied: AppliedObject | null }

/** What the product keeps of one deployment, and its sync of it: read, plan, write, record, with the real planner. */
export class RecordedTarget {
  identity: RemoteIdentity
  digests: FieldDigests | null = null
  readonly #platform: Platform
  readonly #workspace: { tenantId: string }

  constructor(platform: Platform, workspace: { tenantId: string }, instanceId = 'instance-1') {
    this.#platform = platform
    this.#workspace = workspace
    const identity = platform.proposeIdentity(instanceId)
    if (identity === null) throw new Error('Dify identities are proposed')
    this.identity = identity
  }

  async sync(object: DesiredObject): Promise<SyncedTarget> {
    const desired = this.#platform.normalise(object)
    const { bindingId } = object
    const reading = await this.#platform.read(
      spaceOf(this.#workspace),
      [{ bindingId, identity: this.identity, desired }],
      { signal: never() },
    )
    const plan = planTarget(
      {
        action: 'sync',
        writePolicy: 'upsert-only',
        right: 'granted',
        desired,
        desiredError: reading.refused?.get(bindingId) ?? null,
        unknownFields: [],
        recorded: { identity: this.identity, state: 'in_sync', digests: this.digests },
        spaceProblem: reading.problem,
        observed: reading.objects.get(bindingId) ?? null,
        inTheWay: reading.inTheWay.get(bindingId) ?? null,
      },
      digest,
    )
    if (plan.action !== 'create' && plan.action !== 'update') return { plan, applied: null }
    return { plan, applied: await this.apply(desired) }
  }

  async apply(desired: NormalisedObject): Promise<AppliedObject> {
    let wroteFields: string[] = []
    await using writer = await openWriter(this.#platform, this.#workspace)
    const applied = await writer.apply(
      changeFor(desired, this.identity, (observed) => {
        wroteFields =
          observed === null ? Object.keys(desired.fields) : compareFields(desired, this.digests, observed, digest).write
        return wroteFields
      }),
    )
    this.identity = applied.identity
    this.digests = digestsAfterWrite(desired, applied.stored, wroteFields, this.digests, digest)
    return applied
  }
}
