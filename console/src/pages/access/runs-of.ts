import { api, call, type Schemas } from '../../api/client.ts'
import type { SendOnce } from '../../api/sent-once.ts'
import type { Binding } from './queries.ts'

export type StartedRun = { id: string; name: string }

/** What came of starting several runs, one after another. */
export type StartedRuns = {
  started: StartedRun[]
  /** Why no more were started; null: all were. */
  error: unknown
  /** What no run was started for. */
  left: Binding[]
}

/**
 * Starts runs for exactly these authorizations. A run covers every server of it in every space of it: one a platform and server
 * keeps to what is meant. Ends with the first that is refused, and never throws: those before it are running. `sendOnce`: the same
 * for the same authorizations, or a run whose answer was lost is started twice.
 */
export async function startRuns(
  bindings: Binding[],
  how: Pick<Schemas['SyncInput'], 'name' | 'action' | 'acceptWarnings'>,
  sendOnce: SendOnce,
): Promise<StartedRuns> {
  const groups = Map.groupBy(bindings, (cell) => `${cell.platform.id} ${cell.instance.id}`)
  const started: StartedRun[] = []
  for (const [key, cells] of groups) {
    const [first] = cells
    if (first === undefined) continue
    const { platform, instance } = first
    const body = {
      ...how,
      platformId: platform.id,
      instanceIds: [instance.id],
      spaceIds: [...new Set(cells.map(({ space }) => space.id))],
    }
    try {
      const { id } = await sendOnce(body, (header) => call(api.POST('/api/v1/syncs', { params: { header }, body })))
      started.push({ id, name: `${instance.name} · ${platform.name}` })
      groups.delete(key)
    } catch (error) {
      return { started, error, left: [...groups.values()].flat() }
    }
  }
  return { started, error: null, left: [] }
}
