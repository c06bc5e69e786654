import { TARGET_STATES } from '../domain/states.ts'
import { type BindingPatch, ensureBindingsIn, updateBindingsIn } from './bindings.ts'
import type { Tx } from './client.ts'
import { NotFoundError } from './errors.ts'
import { bumpRevision } from './revision.ts'
import { listUsableSpaceIds } from './spaces.ts'
import type { Store } from './store.ts'
import { listTargetCells } from './sync-targets.ts'
import type { CellAuthorization, NewSync } from './syncs.ts'

/** What an admin decides for one instance in every space of a run at once. */

/** Stands for every selected space of the instance that no other authorization names. */
export const EVERY_SPACE = 'all'

/** One instance's default, and the spaces that take it. */
export type SpaceDefault = { instanceId: string; spaceIds: string[]; patch: BindingPatch }

/** The authorization of one cell: the one that names its space, and else its instance's default. */
export function authorizationFor(
  cell: { instanceId: string; spaceId: string },
  authorizations: readonly CellAuthorization[],
): CellAuthorization | undefined {
  const own = authorizations.filter(({ instanceId }) => instanceId === cell.instanceId)
  return own.find(({ spaceId }) => spaceId === cell.spaceId) ?? own.find(({ spaceId }) => spaceId === EVERY_SPACE)
}

/** Which spaces take the defaults of a real run: those that its plan named, and without a plan those selected now. */
export async function spaceDefaults(store: Store, input: NewSync): Promise<SpaceDefault[]> {
  const authorizations = input.authorizations ?? []
  const defaults = authorizations.filter(({ spaceId }) => spaceId === EVERY_SPACE)
  if (defaults.length === 0 || input.dryRun === true) return []
  const { spaceIds } = input.selection
  const planned = input.planOf == null ? null : await listTargetCells(store, input.planOf, TARGET_STATES)
  const selected = spaceIds === 'all' ? await listUsableSpaceIds(store, input.platformId) : spaceIds
  return defaults.map(({ instanceId, spaceId: _all, token: _none, ...patch }) => {
    const own = authorizations.filter((given) => given.instanceId === instanceId)
    const named = new Set(own.map(({ spaceId }) => spaceId))
    const cells = planned?.filter((cell) => cell.instanceId === instanceId && cell.removes !== true)
    const all = cells?.map(({ spaceId }) => spaceId) ?? selected
    return { instanceId, spaceIds: all.filter((spaceId) => !named.has(spaceId)), patch }
  })
}

/** Writes them to the bindings, which are made where they are missing. */
export async function applySpaceDefaults(store: Store, tx: Tx, defaults: readonly SpaceDefault[]): Promise<void> {
  for (const { instanceId, spaceIds, patch } of defaults) {
    if (spaceIds.length === 0 || Object.values(patch).every((value) => value === undefined)) continue
    const revision = await bumpRevision(store, tx)
    const cells = spaceIds.map((spaceId) => ({ instanceId, spaceId }))
    const bindings = await ensureBindingsIn(store, tx, revision, cells)
    if (bindings.length !== cells.length) throw new NotFoundError('The binding')
    const ids = bindings.map(({ id }) => id)
    await updateBindingsIn(store, tx, revision, ids, patch)
  }
}
