import { z } from '@hono/zod-openapi'
import { SYNC_STATES } from '../domain/states.ts'
import { beginDeletion, type Doomed, stopWriting } from '../store/deletions.ts'
import { StoreError } from '../store/errors.ts'
import { currentRevision } from '../store/revision.ts'
import { listOpenSyncs } from '../store/syncs.ts'
import { type ApiContext, hasRole } from './context.ts'
import type { ApiDeps } from './deps.ts'
import { ApiProblem } from './problem.ts'
import { json } from './route.ts'
import { flagQuery, idSchema } from './schemas.ts'
import { EFFECTIVE_TIMEOUT_MS } from './spaces.ts'
import { startRun } from './syncs.ts'

/** Deleting what may have objects on platforms: at once when it has none, else by removal runs. */

export const deletionQuery = z.object({
  forget: flagQuery.openapi({ description: 'Drop the records only and leave our objects on the platforms (admins).' }),
  acceptWarnings: flagQuery.openapi({ description: 'Remove also what agents of the platform use.' }),
})

const deletion = z
  .object({
    syncId: idSchema.openapi({ description: 'The first of the removal runs.' }),
    syncs: z
      .array(z.object({ id: idSchema, platformId: idSchema, workflowId: z.string(), state: z.enum(SYNC_STATES) }))
      .openapi({
        description: 'One a platform. With the last object it is gone itself; asking again goes on with what is left.',
      }),
  })
  .openapi('Deletion')

const deletedAtOnce = z
  .object({ effective: z.boolean().openapi({ description: 'Every live gateway has seen it.' }) })
  .openapi('DeletedAtOnce')

export const deletionResponses = {
  200: json(
    deletedAtOnce,
    'Deleted, but not every gateway has said in time that it refuses what was to be used with it',
  ),
  202: json(deletion, 'Its objects are being removed from the platforms; it goes with the last of them'),
  204: { description: 'Deleted: there was nothing on any platform, and every live gateway goes by it' },
}

/** Deleted at once, or by runs. `erase` throws StoreError `has_deployments` unless told to forget. */
export async function deleteWithObjects(
  c: ApiContext,
  deps: ApiDeps,
  doomed: Doomed,
  erase: (options: { forget: boolean }) => Promise<void>,
  query: z.infer<typeof deletionQuery>,
): Promise<z.infer<typeof deletedAtOnce> | z.infer<typeof deletion>> {
  if (query.forget) {
    if (!hasRole(c.get('principal')?.role ?? 'viewer', 'admin')) {
      throw new ApiProblem(403, 'forbidden', 'Dropping the records only (forget) needs the role admin.', {
        hint: 'Delete it without forget: its objects are removed from the platforms first.',
      })
    }
    await stopWriting(deps.store, doomed)
    await erase({ forget: true })
    return await seen(deps)
  }
  const requestedBy = c.get('principal')?.name ?? 'unknown'
  const syncs = await beginDeletion(deps.store, doomed, { requestedBy, acceptWarnings: query.acceptWarnings })
  if ('platformId' in doomed) await cancelWriters(deps, doomed.platformId)
  const [first] = syncs
  if (first === undefined) {
    try {
      await erase({ forget: false })
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== 'has_deployments') throw error
      throw new ApiProblem(409, error.code, 'Something was written for it at this very moment.', {
        hint: 'Delete it again.',
      })
    }
    return await seen(deps)
  }
  for (const sync of syncs) await startRun(deps, sync)
  const shown = syncs.map(({ id, platformId, workflowId, state }) => ({ id, platformId, workflowId, state }))
  return { syncId: first.id, syncs: shown }
}

/** Whether its tokens are refused everywhere by now. */
async function seen({ store, gatewaySeen }: ApiDeps): Promise<z.infer<typeof deletedAtOnce>> {
  return { effective: await gatewaySeen(await currentRevision(store.db), EFFECTIVE_TIMEOUT_MS) }
}

/** Their wish to end is in the store; what does not hear of it now is told by the reconciler. */
async function cancelWriters(deps: ApiDeps, platformId: string): Promise<void> {
  const runs = await listOpenSyncs(deps.store, { platformId })
  await Promise.all(runs.filter((run) => run.cancelRequested).map((run) => deps.syncRuns.cancel(run)))
}
