import { isClosed, TARGET_STATES } from '../domain/states.ts'
import type { Idempotency } from '../store/idempotency.ts'
import { getInstances } from '../store/instances.ts'
import { getPlatform } from '../store/platforms.ts'
import { hasAllTargets } from '../store/run-targets.ts'
import { countTargets, listTargetCells } from '../store/sync-targets.ts'
import { openAuthorizations, requestCancel, requestPause, type SyncRecord } from '../store/syncs.ts'
import type { Api, ApiContext } from './context.ts'
import type { ApiDeps } from './deps.ts'
import { idempotencyOf } from './idempotency-key.ts'
import { ApiProblem, beingDeleted, notFound } from './problem.ts'
import { defineRoute, json } from './route.ts'
import { idParam } from './schemas.ts'
import { refuseDeleted, refuseUnconfirmedPrune, warningsOf } from './sync-input.ts'
import { applyInput, showSync, startedSync, syncSchema } from './sync-schemas.ts'
import { createAndStart, findSync, sameRunAgain, showStarted, startedBefore } from './syncs.ts'

/** What can be done with a run. The wish goes into the store first; the signal follows, and the reconciler repeats a lost one. */

const tags = ['syncs']
const changed = { 202: json(syncSchema, 'Asked for') }
const started = { 202: json(startedSync, 'A new run was accepted') }

const pauseRoute = defineRoute(
  'operator',
  {
    method: 'post',
    path: '/api/v1/syncs/{id}/pause',
    operationId: 'pauseSync',
    tags,
    summary: 'Pause an open run: what is being written is finished, nothing new is begun',
    request: { params: idParam },
    responses: changed,
  },
  { resource: 'sync', action: 'pause' },
)

const resumeRoute = defineRoute(
  'operator',
  {
    method: 'post',
    path: '/api/v1/syncs/{id}/resume',
    operationId: 'resumeSync',
    tags,
    summary: 'Go on with a paused run',
    request: { params: idParam },
    responses: changed,
  },
  { resource: 'sync', action: 'resume' },
)

const cancelRoute = defineRoute(
  'operator',
  {
    method: 'post',
    path: '/api/v1/syncs/{id}/cancel',
    operationId: 'cancelSync',
    tags,
    summary: 'Cancel an open run; what it has done stands',
    request: { params: idParam },
    responses: changed,
  },
  { resource: 'sync', action: 'cancel' },
)

const retryRoute = defineRoute(
  'operator',
  {
    method: 'post',
    path: '/api/v1/syncs/{id}/retry',
    operationId: 'retrySync',
    tags,
    summary: 'A new run of just what did not end well in this one; a dry run is planned anew, as a whole',
    request: { params: idParam, headers: sameRunAgain },
    responses: started,
  },
  { resource: 'sync', action: 'retry' },
)

const applyRoute = defineRoute(
  'operator',
  {
    method: 'post',
    path: '/api/v1/syncs/{id}/apply',
    operationId: 'applySync',
    tags,
    summary:
      'Do exactly what a dry run has planned, its authorizations included; what would now be otherwise is skipped',
    request: {
      params: idParam,
      headers: sameRunAgain,
      body: { content: { 'application/json': { schema: applyInput } }, required: false },
    },
    responses: started,
  },
  { resource: 'sync', action: 'apply' },
)

export function registerSyncActions(app: Api, deps: ApiDeps): void {
  const { store } = deps
  const findOpen = async (id: string): Promise<SyncRecord> => {
    const sync = await findSync(deps, id)
    if (isClosed(sync.state)) throw runClosed(sync)
    return sync
  }
  const refuseLost = async (sync: SyncRecord, changed: boolean) => {
    if (!changed) throw runClosed(await findSync(deps, sync.id))
  }

  app.openapi(pauseRoute, async (c) => {
    const sync = await findOpen(c.req.valid('param').id)
    await refuseLost(sync, await requestPause(store, sync.id, true))
    await deps.syncRuns.signal(sync, { type: 'pause' })
    return c.json(showSync(deps, await findSync(deps, sync.id)), 202)
  })

  app.openapi(resumeRoute, async (c) => {
    const sync = await findOpen(c.req.valid('param').id)
    await refuseLost(sync, await requestPause(store, sync.id, false))
    await deps.syncRuns.signal(sync, { type: 'resume' })
    return c.json(showSync(deps, await findSync(deps, sync.id)), 202)
  })

  app.openapi(cancelRoute, async (c) => {
    const sync = await findOpen(c.req.valid('param').id)
    await refuseLost(sync, await requestCancel(store, sync.id))
    await deps.syncRuns.cancel(sync)
    return c.json(showSync(deps, await findSync(deps, sync.id)), 202)
  })

  app.openapi(retryRoute, async (c) => {
    const sync = await findSync(deps, c.req.valid('param').id)
    const idempotency = idempotencyOf(c, store, c.req.valid('header')['idempotency-key'], { retry: sync.id })
    const known = await startedBefore(deps, idempotency)
    if (known !== null) return c.json(showStarted(c, known), 202)
    if (!isClosed(sync.state)) {
      throw new ApiProblem(409, 'run_open', `The run is still ${sync.state}.`, {
        hint: 'Wait for its end, or cancel it first.',
      })
    }
    const cells = await listTargetCells(store, sync.id, ['failed', 'conflict', 'cancelled', 'pending', 'running'])
    // A run that ended before it had targets, or all of them, is repeated as a whole.
    // The unchanged ones of a scheduled run are only counted.
    const hasSome = sync.counts.total + (await countTargets(store, sync.id)).total > 0
    const hadTargets = hasSome && (await hasAllTargets(store, sync.id))
    if ((hadTargets && cells.length === 0) || sync.state === 'planned') {
      throw new ApiProblem(409, 'nothing_to_retry', 'Every target of this run ended well.', {
        hint: 'Start a new sync to bring later changes to the platform.',
      })
    }
    // What a mirror removes is what its selection does not hold: that selection stays. A plan is one thing, to be applied as such.
    const narrowed = hadTargets && !sync.dryRun && sync.writePolicy !== 'mirror'
    const selection = narrowed
      ? {
          instanceIds: [...new Set(cells.map((cell) => cell.instanceId))],
          spaceIds: [...new Set(cells.map((cell) => cell.spaceId))],
          // Those whose token was not replaced by then are replaced now.
          ...(sync.selection.rotate === undefined ? {} : { rotate: sync.selection.rotate }),
        }
      : withoutProfilesRotation(sync)
    const retryOf = hadTargets && !sync.dryRun ? sync.id : null
    const { confirmPrune, dryRun } = sync
    // A real run has applied them to its bindings; a dry run only keeps them.
    const authorizations = dryRun ? await openAuthorizations(store, sync.id) : []
    const run = await repeat(c, sync, { selection, retryOf, authorizations, confirmPrune, dryRun }, idempotency)
    return c.json(showStarted(c, run), 202)
  })

  app.openapi(applyRoute, async (c) => {
    const sync = await findSync(deps, c.req.valid('param').id)
    const { confirmPrune } = c.req.valid('json')
    const asked = { apply: sync.id, confirmPrune }
    const idempotency = idempotencyOf(c, store, c.req.valid('header')['idempotency-key'], asked)
    const known = await startedBefore(deps, idempotency)
    if (known !== null) return c.json(showStarted(c, known), 202)
    if (sync.state !== 'planned') {
      throw isClosed(sync.state)
        ? runClosed(sync)
        : new ApiProblem(409, 'not_planned', 'There is no plan yet to apply.', {
            hint: 'Wait until the dry run is planned.',
          })
    }
    if (sync.writePolicy === 'mirror' && !confirmPrune) {
      const planned = await listTargetCells(store, sync.id, TARGET_STATES)
      const going = planned.flatMap((cell) => (cell.removes === true ? (cell.bindingId ?? []) : []))
      await refuseUnconfirmedPrune(deps, sync, new Set(going))
    }
    const authorizations = await openAuthorizations(store, sync.id)
    const own = { selection: sync.selection, planOf: sync.id, authorizations, confirmPrune, dryRun: false }
    const run = await repeat(c, sync, own, idempotency)
    return c.json(showStarted(c, run), 202)
  })

  async function repeat(
    c: ApiContext,
    sync: SyncRecord,
    own: Pick<
      Parameters<typeof createAndStart>[1],
      'selection' | 'retryOf' | 'planOf' | 'authorizations' | 'confirmPrune' | 'dryRun'
    >,
    idempotency: Idempotency | null,
  ): Promise<SyncRecord> {
    const platform = await getPlatform(store, sync.platformId)
    if (platform === null) throw notFound('platform', sync.platformId)
    if (sync.action === 'sync') {
      if (platform.status === 'removing') throw beingDeleted(`The platform "${platform.name}"`)
      const { instanceIds } = own.selection
      const instances = await getInstances(store, instanceIds)
      refuseDeleted(instanceIds, new Map(instances.map((instance) => [instance.id, instance])))
    }
    const input = {
      platformId: sync.platformId,
      name: sync.name,
      action: sync.action,
      writePolicy: sync.writePolicy,
      // Whoever repeats or applies a run has seen its warnings.
      acceptWarnings: true,
      requestedBy: c.get('principal')?.name ?? 'unknown',
      ...own,
    }
    return createAndStart(deps, input, sync.action === 'remove' ? [] : warningsOf(deps, platform), idempotency)
  }
}

/** A repeated run has no profile; without one a rotation would be all that it does. */
function withoutProfilesRotation({ profileId, selection }: SyncRecord): SyncRecord['selection'] {
  const { rotate, ...rest } = selection
  return profileId === null && rotate !== undefined ? selection : rest
}

function runClosed(sync: SyncRecord): ApiProblem {
  return new ApiProblem(409, 'run_closed', `The run is closed (${sync.state}) and changes no more.`, {
    hint: 'Start a new one: POST /api/v1/syncs, or /retry for what did not end well.',
  })
}
