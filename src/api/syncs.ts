import { z } from '@hono/zod-openapi'
import { SYNC_STATES, TARGET_STATES } from '../domain/states.ts'
import { findIdempotent, type Idempotency } from '../store/idempotency.ts'
import { getPlatform } from '../store/platforms.ts'
import { listTargets } from '../store/sync-targets.ts'
import { addSyncWarnings, createSync, getSync, listSyncs, type NewSync, type SyncRecord } from '../store/syncs.ts'
import type { Api, ApiContext } from './context.ts'
import type { ApiDeps } from './deps.ts'
import { idempotencyHeader, idempotencyOf } from './idempotency-key.ts'
import { pageOf, pageQuery } from './pagination.ts'
import { notFound } from './problem.ts'
import { body, defineRoute, json } from './route.ts'
import { idParam, idSchema } from './schemas.ts'
import { checkSyncInput, refuseUnacceptedWarnings, refuseUnconfirmedPrune } from './sync-input.ts'
import {
  liveSync,
  showLiveSync,
  showSync,
  showTarget,
  startedSync,
  syncInput,
  syncSchema,
  targetSchema,
} from './sync-schemas.ts'

const tags = ['syncs']

/** For every call that starts a run. */
export const sameRunAgain = idempotencyHeader({
  description: 'The same key with the same call starts nothing again and gets the same run.',
})

const createRoute = defineRoute(
  'operator',
  {
    method: 'post',
    path: '/api/v1/syncs',
    operationId: 'startSync',
    tags,
    summary: 'Bring instances into spaces of one platform (or plan it: dryRun)',
    request: {
      headers: sameRunAgain,
      body: body(syncInput),
    },
    responses: { 202: json(startedSync, 'Accepted; queued while Temporal is away') },
  },
  { resource: 'sync', action: 'start' },
)

const listRoute = defineRoute('viewer', {
  method: 'get',
  path: '/api/v1/syncs',
  operationId: 'listSyncs',
  tags,
  summary: 'Runs, the newest first',
  request: {
    query: pageQuery.extend({
      state: z.enum(SYNC_STATES).optional(),
      platformId: idSchema.optional(),
      profileId: idSchema.optional(),
    }),
  },
  responses: { 200: json(pageOf(syncSchema), 'Runs') },
})

const getRoute = defineRoute('viewer', {
  method: 'get',
  path: '/api/v1/syncs/{id}',
  operationId: 'getSync',
  tags,
  summary: 'A run, live',
  request: { params: idParam },
  responses: { 200: json(liveSync, 'The run') },
})

const targetsRoute = defineRoute('viewer', {
  method: 'get',
  path: '/api/v1/syncs/{id}/targets',
  operationId: 'listSyncTargets',
  tags,
  summary: 'Every instance in every space: action, state, error and what to do',
  request: {
    params: idParam,
    query: pageQuery.extend({
      state: z.enum(TARGET_STATES).optional(),
      spaceId: idSchema.optional(),
      instanceId: idSchema.optional(),
    }),
  },
  responses: { 200: json(pageOf(targetSchema), 'Targets') },
})

export function registerSyncs(app: Api, deps: ApiDeps): void {
  const { store } = deps

  app.openapi(createRoute, async (c) => {
    const input = c.req.valid('json')
    const idempotency = idempotencyOf(c, store, c.req.valid('header')['idempotency-key'], input)
    // Before the checks: a repeated call gets its run even when the world has changed since.
    const known = await startedBefore(deps, idempotency)
    if (known !== null) return c.json(showStarted(c, known), 202)

    const { platform, selection, authorizations, warnings } = await checkSyncInput(deps, input)
    refuseUnacceptedWarnings(warnings, input)
    if (input.writePolicy === 'mirror' && input.action === 'sync' && !input.dryRun && !input.confirmPrune) {
      await refuseUnconfirmedPrune(deps, { platformId: platform.id, profileId: null, selection })
    }
    const run = await createAndStart(
      deps,
      {
        platformId: platform.id,
        name: input.name ?? `${input.action === 'remove' ? 'Remove from' : 'Sync to'} ${platform.name}`,
        action: input.action,
        selection,
        authorizations,
        writePolicy: input.writePolicy,
        dryRun: input.dryRun,
        acceptWarnings: input.acceptWarnings,
        confirmPrune: input.confirmPrune,
        requestedBy: c.get('principal')?.name ?? 'unknown',
      },
      warnings,
      idempotency,
    )
    return c.json(showStarted(c, run), 202)
  })

  app.openapi(listRoute, async (c) => {
    const page = await listSyncs(store, c.req.valid('query'))
    return c.json({ items: page.items.map((sync) => showSync(deps, sync)), nextCursor: page.nextCursor }, 200)
  })

  app.openapi(getRoute, async (c) => {
    return c.json(await showLiveSync(deps, await findSync(deps, c.req.valid('param').id)), 200)
  })

  app.openapi(targetsRoute, async (c) => {
    const sync = await findSync(deps, c.req.valid('param').id)
    const page = await listTargets(store, sync.id, c.req.valid('query'))
    return c.json({ items: page.items.map(showTarget), nextCursor: page.nextCursor }, 200)
  })
}

/** 404 for an unknown one. */
export async function findSync(deps: ApiDeps, id: string): Promise<SyncRecord> {
  const sync = await getSync(deps.store, id)
  if (sync === null) throw notFound('sync', id)
  return sync
}

/** What this key started before, its workflow started if it is not yet; null: nothing. Throws IdempotencyKeyReusedError. */
export async function startedBefore(deps: ApiDeps, idempotency: Idempotency | null): Promise<SyncRecord | null> {
  const id = idempotency === null ? null : await deps.store.write((tx) => findIdempotent(tx, idempotency))
  const known = id === null ? null : await getSync(deps.store, id)
  return known === null ? null : startRun(deps, known)
}

/** Writes the run, then starts its workflow; with Temporal away it stays queued and the reconciler starts it. */
export async function createAndStart(
  deps: ApiDeps,
  input: NewSync,
  warnings: string[],
  idempotency: Idempotency | null,
): Promise<SyncRecord> {
  const { sync, created } = await createSync(deps.store, input, idempotency)
  if (created) await addSyncWarnings(deps.store, sync.id, warnings)
  return startRun(deps, { ...sync, warnings: created ? warnings : sync.warnings })
}

/** The answer to a call that made a run. */
export function showStarted(c: ApiContext, run: SyncRecord): z.infer<typeof startedSync> {
  c.set('auditId', run.id)
  c.header('location', `/api/v1/syncs/${run.id}`)
  return { id: run.id, workflowId: run.workflowId, state: run.state, warnings: run.warnings }
}

/** Starts the workflow of a run that was written; one that has begun, or ended, stays as it is. */
export async function startRun(deps: ApiDeps, sync: SyncRecord): Promise<SyncRecord> {
  if (sync.state !== 'queued') return sync
  const platform = await getPlatform(deps.store, sync.platformId)
  await deps.syncRuns.start(sync, {
    platformId: sync.platformId,
    platformKind: platform?.kind ?? 'dify',
    action: sync.action,
    dryRun: sync.dryRun,
    instances: sync.selection.instanceIds.length,
    spaces: sync.selection.spaceIds === 'all' ? 'all' : sync.selection.spaceIds.length,
  })
  return sync
}
