import { ToolferryError } from '../../domain/errors.ts'
import type { ForeignObject, ObservedObject } from '../../domain/object.ts'
import type { SpaceReading, SpaceRef, WantedObject } from '../platform.ts'
import { findForeign } from './conflicts.ts'
import type { DifyConnection } from './database.ts'
import { urlHash } from './normalise.ts'
import { observeProvider } from './provider-row.ts'
import { headerFault, knownSchema, readFault, writeFault } from './schema.ts'
import { isTenantId, judgeTenant } from './spaces.ts'

type SpaceProblem = NonNullable<SpaceReading['problem']>

const PROBLEM_TYPES: readonly string[] = ['TargetGone', 'InvalidDesiredState', 'Forbidden', 'UnsupportedVersion']

/**
 * What stands in a space. Throws what concerns the whole database (not Dify's, no right to read); what concerns writing or this
 * one space comes as `problem`, what concerns one provider as `refused`.
 */
export async function readSpace(
  connection: DifyConnection,
  space: SpaceRef,
  wanted: readonly WantedObject[],
): Promise<SpaceReading> {
  const schema = await knownSchema(connection)
  const fault = readFault(schema)
  if (fault !== null) throw fault

  const objects = new Map<string, ObservedObject>()
  const inTheWay = new Map<string, ForeignObject>()
  const refused: NonNullable<SpaceReading['refused']> = new Map()
  if (!isTenantId(space.remoteId)) return { problem: asProblem(judgeTenant(null).fault), objects, inTheWay, refused }

  const tenantId = space.remoteId.toLowerCase()
  const {
    tenant,
    own: ownRows,
    others,
  } = await connection.readSpace(tenantId, {
    ids: wanted.flatMap(({ identity }) => (identity === null ? [] : [identity.id])),
    identifiers: wanted.flatMap(({ identity }) => (identity?.key == null ? [] : [identity.key])),
    urlHashes: wanted.flatMap(({ desired }) =>
      desired?.fields.url === undefined ? [] : [urlHash(desired.fields.url)],
    ),
  })
  const judged = judgeTenant(tenant)

  const byId = new Map(ownRows.map((row) => [row.id, row]))
  for (const { bindingId, identity, desired } of wanted) {
    const row = identity === null ? undefined : byId.get(identity.id)
    const own = row?.tenantId === tenantId ? row : undefined
    if (own !== undefined) objects.set(bindingId, observeProvider(own, judged.key, desired?.fields.url ?? null))
    if (desired === null) continue
    const refusal = asProblem(headerFault(schema, desired.fields.authorization ?? ''))
    if (refusal !== null) refused.set(bindingId, refusal)
    const foreign = findForeign([...ownRows, ...others], {
      tenantId,
      id: identity?.id ?? '',
      identifier: own?.serverIdentifier ?? identity?.key ?? '',
      urlHash: urlHash(desired.fields.url ?? ''),
    })
    if (foreign !== null) inTheWay.set(bindingId, foreign)
  }
  return { problem: asProblem(judged.fault ?? writeFault(schema)), objects, inTheWay, refused }
}

function asProblem(fault: ToolferryError | null): SpaceProblem | null {
  if (fault === null) return null
  if (!PROBLEM_TYPES.includes(fault.type))
    throw new ToolferryError('Bug', 'A space’s problem has an unexpected type.', { cause: fault })
  return { type: fault.type as SpaceProblem['type'], message: fault.message }
}
