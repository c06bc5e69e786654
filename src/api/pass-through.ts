import { findBindings, openBindings } from '../store/bindings.ts'
import { type Headers, openInstances } from '../store/instances.ts'
import type { Store } from '../store/store.ts'
import { MASK } from './schemas.ts'

type Cell = { instanceId: string; spaceId: string }

/**
 * What a mask may stand for in the pass-through headers of each cell: the binding's own value, else the instance's default
 * of that name, by `cellOf`. Only cells that send a mask are looked up.
 */
export async function sealedPassThrough(
  store: Store,
  cells: readonly (Cell & { passThroughHeaders?: Headers | null | undefined })[],
): Promise<Map<string, Headers>> {
  const masked = cells.filter(({ passThroughHeaders }) => Object.values(passThroughHeaders ?? {}).includes(MASK))
  if (masked.length === 0) return new Map()
  const instances = await openInstances(store, [...new Set(masked.map(({ instanceId }) => instanceId))])
  const bindings = new Map((await findBindings(store, masked)).map((binding) => [cellOf(binding), binding.id]))
  const opened = await openBindings(store, [...bindings.values()])
  const sealed = new Map<string, Headers>()
  for (const cell of masked) {
    const own = opened.get(bindings.get(cellOf(cell)) ?? '')?.ownPassThrough ?? {}
    const names = new Set(Object.keys(own).map((name) => name.toLowerCase()))
    const defaults = Object.entries(instances.get(cell.instanceId)?.defaultPassThrough ?? {})
    const unset = Object.fromEntries(defaults.filter(([name]) => !names.has(name.toLowerCase())))
    sealed.set(cellOf(cell), { ...own, ...unset })
  }
  return sealed
}

export function cellOf({ instanceId, spaceId }: Cell): string {
  return `${instanceId} ${spaceId}`
}
