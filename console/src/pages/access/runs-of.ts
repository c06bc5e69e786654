import { api, call, type Schemas } from '../../api/client.ts'
import type { Binding } from './queries.ts'

/**
 * Starts runs for exactly these authorizations and answers their ids. A run covers every server of it in every space of it: one
 * a platform and server keeps to what is meant.
 */
export async function startRuns(
  bindings: Binding[],
  how: Pick<Schemas['SyncInput'], 'name' | 'action' | 'acceptWarnings'>,
): Promise<string[]> {
  const ids: string[] = []
  for (const cells of Map.groupBy(bindings, (cell) => `${cell.platform.id} ${cell.instance.id}`).values()) {
    const [first] = cells
    if (first === undefined) continue
    const body = {
      ...how,
      platformId: first.platform.id,
      instanceIds: [first.instance.id],
      spaceIds: [...new Set(cells.map(({ space }) => space.id))],
    }
    ids.push((await call(api.POST('/api/v1/syncs', { body }))).id)
  }
  return ids
}
