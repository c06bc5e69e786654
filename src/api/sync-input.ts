import { describePrune } from '../domain/prune.ts'
import { getInstances, type InstanceRecord } from '../store/instances.ts'
import { judgeMirror, type MirrorRun, mirroredAway } from '../store/mirror.ts'
import { getPlatform, type PlatformRecord } from '../store/platforms.ts'
import { EVERY_SPACE } from '../store/space-defaults.ts'
import { allSpaces, getSpaces } from '../store/spaces.ts'
import type { CellAuthorization, Selection } from '../store/syncs.ts'
import type { ApiDeps } from './deps.ts'
import { checkedToken, expiryOf, headerErrors, throwFieldErrors } from './input-rules.ts'
import { isLoopback } from './loopback.ts'
import { cellOf, sealedPassThrough } from './pass-through.ts'
import { ApiProblem, beingDeleted, type FieldError, invalidField } from './problem.ts'
import { unmaskHeaders } from './schemas.ts'
import type { SyncInput } from './sync-schemas.ts'

/** Turns the body of POST /syncs into what a run may start with, or refuses it naming each wrong field. */

export type CheckedSync = {
  platform: PlatformRecord
  selection: Selection
  authorizations: CellAuthorization[]
  warnings: string[]
}

/** Written in one transaction, in which nothing else writes to SQLite. */
const MOST_DEFAULT_CELLS = 50_000
export const TOO_MANY_DEFAULT_CELLS = `Those of every space may stand for at most ${MOST_DEFAULT_CELLS} authorizations together. Start one run for some of the instances, then one for the others.`

export async function checkSyncInput(deps: ApiDeps, input: SyncInput): Promise<CheckedSync> {
  const platform = await getPlatform(deps.store, input.platformId)
  if (platform === null) {
    throw invalidField('platformId', 'There is no such platform; GET /api/v1/platforms lists them.')
  }
  if (platform.status === 'removing' && input.action === 'sync') throw beingDeleted(`The platform "${platform.name}"`)
  const instanceIds = [...new Set(input.instanceIds)]
  const spaceIds = input.spaceIds === 'all' ? 'all' : [...new Set(input.spaceIds)]
  const instances = new Map((await getInstances(deps.store, instanceIds)).map((instance) => [instance.id, instance]))
  if (input.action === 'sync') refuseDeleted(input.instanceIds, instances)
  throwFieldErrors([...instanceErrors(input, instances), ...(await spaceErrors(deps, input, platform))])
  if (spaceIds === 'all' && (await allSpaces(deps.store, platform.id)).length === 0) {
    throw invalidField(
      'spaceIds',
      'No space of this platform is known yet: ask it with GET /api/v1/platforms/{id}/spaces?refresh=true.',
    )
  }
  return {
    platform,
    selection: { instanceIds, spaceIds },
    authorizations: await checkAuthorizations(deps, input, platform),
    warnings: input.action === 'remove' ? [] : warningsOf(deps, platform),
  }
}

/** What an admin should know before anything is written. */
export function warningsOf(deps: ApiDeps, platform: PlatformRecord): string[] {
  const gatewayUrl = platform.gatewayUrl ?? deps.facts.publicUrl
  return isLoopback(new URL(gatewayUrl).hostname)
    ? [
        `The platform will be told to call ${gatewayUrl}, which is this machine only: it works just for a platform that runs here. Set TOOLFERRY_PUBLIC_URL or the platform's gatewayUrl to an address that it can reach.`,
      ]
    : []
}

/** A real run with warnings needs their acceptance; a dry run shows them and never refuses. */
export function refuseUnacceptedWarnings(
  warnings: string[],
  input: { dryRun: boolean; acceptWarnings: boolean },
): void {
  if (warnings.length === 0 || input.dryRun || input.acceptWarnings) return
  throw new ApiProblem(409, 'warnings_not_accepted', warnings.join(' '), {
    hint: 'Correct what the warnings name, or send "acceptWarnings": true.',
    errors: warnings.map((message) => ({ field: 'acceptWarnings', message })),
  })
}

/** A mirror that would take most of a platform or of a space away is asked about first. `only`: of these bindings. */
export async function refuseUnconfirmedPrune(
  deps: ApiDeps,
  run: MirrorRun,
  only: ReadonlySet<string> | null = null,
): Promise<void> {
  const away = await mirroredAway(deps.store, run)
  const going = only === null ? away : away.filter((cell) => only.has(cell.bindingId))
  const verdict = await judgeMirror(deps.store, run.platformId, going)
  if (!verdict.needsConfirmation) return
  const message = `${describePrune(verdict)}, and the mirror would remove them.`
  throw new ApiProblem(409, 'prune_not_confirmed', message, {
    hint: 'Look at it with "dryRun": true, correct the selection, or send "confirmPrune": true.',
    errors: [{ field: 'confirmPrune', message }],
  })
}

/** 409 `being_deleted`, naming them. */
export function refuseDeleted(ids: readonly string[], instances: ReadonlyMap<string, InstanceRecord>): void {
  const errors = ids.flatMap((id, index) =>
    instances.get(id)?.status === 'removing'
      ? [{ field: `instanceIds[${index}]`, message: 'This instance is being deleted.' }]
      : [],
  )
  if (errors.length > 0) throw beingDeleted('An instance of the selection', errors)
}

function instanceErrors(input: SyncInput, instances: Map<string, InstanceRecord>): FieldError[] {
  return input.instanceIds.flatMap((id, index) => {
    const field = `instanceIds[${index}]`
    const instance = instances.get(id)
    if (instance === undefined)
      return { field, message: 'There is no such instance; GET /api/v1/instances lists them.' }
    if (instance.status === 'active' || input.action === 'remove') return []
    return { field, message: `The instance "${instance.name}" is ${instance.status}: activate it or leave it out.` }
  })
}

async function spaceErrors(deps: ApiDeps, input: SyncInput, platform: PlatformRecord): Promise<FieldError[]> {
  if (input.spaceIds === 'all') return []
  const spaces = new Map((await getSpaces(deps.store, input.spaceIds)).map((space) => [space.id, space]))
  return input.spaceIds.flatMap((id, index) => {
    const field = `spaceIds[${index}]`
    const space = spaces.get(id)
    if (space === undefined)
      return { field, message: 'There is no such space; GET /api/v1/platforms/{id}/spaces lists them.' }
    if (space.platformId === platform.id) return []
    return { field, message: `The space "${space.name}" is of another platform; a run has one platform.` }
  })
}

async function checkAuthorizations(
  deps: ApiDeps,
  input: SyncInput,
  platform: PlatformRecord,
): Promise<CellAuthorization[]> {
  if (input.authorizations.length === 0) return []
  if (input.action === 'remove') {
    throw invalidField('authorizations', 'A removal has none: leave them out.')
  }
  const instanceIds = new Set(input.instanceIds)
  const spaceIds = new Set(
    input.spaceIds === 'all' ? (await allSpaces(deps.store, platform.id)).map((space) => space.id) : input.spaceIds,
  )
  const defaults = input.authorizations.filter(({ spaceId }) => spaceId === EVERY_SPACE)
  if (defaults.length * spaceIds.size > MOST_DEFAULT_CELLS) {
    throw invalidField('authorizations', TOO_MANY_DEFAULT_CELLS)
  }
  const errors: FieldError[] = []
  const cells = new Set<string>()
  const sealed = await sealedPassThrough(deps.store, input.authorizations)
  const authorizations = input.authorizations.map((given, index) => {
    const field = `authorizations[${index}].passThroughHeaders`
    if (given.passThroughHeaders == null) return given
    const passThroughHeaders = unmaskHeaders(given.passThroughHeaders, sealed.get(cellOf(given)) ?? null, field)
    return { ...given, passThroughHeaders }
  })
  for (const [index, { instanceId, spaceId, token, passThroughHeaders }] of authorizations.entries()) {
    const at = `authorizations[${index}]`
    const cell = cellOf({ instanceId, spaceId })
    if (!instanceIds.has(instanceId))
      errors.push({ field: `${at}.instanceId`, message: 'This instance is not in the selection.' })
    if (spaceId !== EVERY_SPACE && !spaceIds.has(spaceId))
      errors.push({ field: `${at}.spaceId`, message: 'This space is not in the selection.' })
    if (spaceId === EVERY_SPACE && token !== undefined)
      errors.push({ field: `${at}.token`, message: 'A token belongs to one space: name the space, or leave it out.' })
    if (cells.has(cell)) errors.push({ field: at, message: 'This instance and space have an authorization already.' })
    cells.add(cell)
    if (passThroughHeaders) errors.push(...headerErrors(passThroughHeaders, `${at}.passThroughHeaders`))
  }
  throwFieldErrors(errors)
  const now = Date.now()
  const checked = authorizations.map(({ expiresAt: _at, expiresIn: _in, ...given }, index): CellAuthorization => {
    const at = `authorizations[${index}]`
    const expiresAt = expiryOf({ expiresAt: _at, expiresIn: _in }, `${at}.`, now)
    return {
      instanceId: given.instanceId,
      spaceId: given.spaceId,
      ...(given.token === undefined ? {} : { token: checkedToken(given.token, `${at}.token`) }),
      ...(expiresAt === undefined ? {} : { expiresAt }),
      ...(given.passThroughHeaders === undefined ? {} : { passThroughHeaders: given.passThroughHeaders }),
      ...(given.enabled === undefined ? {} : { enabled: given.enabled }),
    }
  })
  await refuseTakenTokens(deps, checked)
  return checked
}

/** Names the token that something else uses; the write's unique key has the last word. */
export async function refuseTakenTokens(
  deps: ApiDeps,
  authorizations: CellAuthorization[],
  fieldOf: (index: number) => string = (index) => `authorizations[${index}].token`,
): Promise<void> {
  const seen = new Set<string>()
  for (const [index, { token, instanceId, spaceId }] of authorizations.entries()) {
    if (token === undefined) continue
    const lookupHash = deps.store.tokenHash(token)
    const row = await deps.store.db.gatewayToken.findUnique({ where: { lookupHash }, select: { bindingId: true } })
    const binding =
      row?.bindingId == null ? null : await deps.store.db.binding.findUnique({ where: { id: row.bindingId } })
    const ownCell = binding !== null && binding.instanceId === instanceId && binding.spaceId === spaceId
    if (seen.has(lookupHash) || (row !== null && !ownCell)) {
      const message = 'This token is already used for something else; a token belongs to one binding.'
      throw new ApiProblem(409, 'token_in_use', message, {
        hint: 'Give another token, or leave it out to have one made.',
        errors: [{ field: fieldOf(index), message }],
      })
    }
    seen.add(lookupHash)
  }
}
