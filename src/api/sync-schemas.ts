import { z } from '@hono/zod-openapi'
import { isClosed, SYNC_PHASES, SYNC_STATES, TARGET_STATES, type TargetCounts } from '../domain/states.ts'
import { countTargets, type TargetView } from '../store/sync-targets.ts'
import type { SyncRecord } from '../store/syncs.ts'
import type { ApiDeps } from './deps.ts'
import { EXPIRY_PRESETS } from './input-rules.ts'
import {
  countsSchema,
  errorSchema,
  headersInput,
  idSchema,
  iso,
  isoOrNull,
  nameSchema,
  shownError,
  timestamp,
} from './schemas.ts'

const authorizationInput = z
  .strictObject({
    instanceId: idSchema,
    spaceId: idSchema.openapi({
      description:
        'One of the selected spaces, or "all": this instance’s default for every selected space that no other authorization names. One that names a space stands there alone; what it leaves out stays as it is.',
    }),
    token: z.string().min(1).max(4000).optional().openapi({
      description: 'Your own gateway token; write-only. Default: one is made. Never for "all": it belongs to one cell.',
    }),
    expiresAt: timestamp.nullable().optional(),
    expiresIn: z.enum(EXPIRY_PRESETS).optional(),
    passThroughHeaders: headersInput.nullable().optional().openapi({ description: 'Null: the instance’s defaults.' }),
    enabled: z.boolean().optional(),
  })
  .openapi('CellAuthorization')

export const writePolicy = z.enum(['upsert-only', 'create-only', 'mirror']).openapi({
  description:
    'upsert-only: make and change. create-only: make, never change. mirror: also remove what Toolferry has made or adopted on this platform and neither this selection nor another profile holds.',
})
export const confirmPrune = z.boolean().default(false).openapi({
  description:
    'mirror: go on although more than half of the platform’s or of a space’s deployments go, and although agents use them.',
})

export const syncInput = z
  .strictObject({
    platformId: idSchema,
    name: nameSchema.optional(),
    instanceIds: z.array(idSchema).min(1).max(500),
    spaceIds: z.union([z.literal('all'), z.array(idSchema).min(1).max(5000)], {
      error: 'must be "all" or a list of at least one space id',
    }),
    authorizations: z.array(authorizationInput).max(5000).default([]),
    action: z.enum(['sync', 'remove']).default('sync'),
    writePolicy: writePolicy.default('upsert-only'),
    dryRun: z.boolean().default(false),
    acceptWarnings: z.boolean().default(false),
    confirmPrune,
  })
  .openapi('SyncInput')
export type SyncInput = z.infer<typeof syncInput>

export const applyInput = z.strictObject({ confirmPrune })

export const syncSchema = z
  .object({
    id: idSchema,
    platformId: idSchema,
    profileId: idSchema.nullable(),
    name: z.string(),
    action: z.enum(['sync', 'remove']),
    state: z.enum(SYNC_STATES),
    phase: z.enum(SYNC_PHASES),
    selection: z.object({
      instanceIds: z.array(idSchema),
      spaceIds: z.union([z.literal('all'), z.array(idSchema)]),
      rotate: z
        .object({
          by: z.enum(['hand', 'age']),
          before: timestamp.nullable(),
          bindingIds: z.array(idSchema).optional(),
          graceSeconds: z.int().optional(),
        })
        .optional()
        .openapi({
          description:
            'The run replaces tokens that were made before this time; null: just the one that was given with the call.',
        }),
    }),
    writePolicy: z.string(),
    dryRun: z.boolean(),
    acceptWarnings: z.boolean(),
    confirmPrune: z.boolean(),
    retryOf: idSchema.nullable(),
    planOf: idSchema.nullable(),
    workflowId: z.string(),
    temporalUrl: z.string().nullable().openapi({ description: 'This run in Temporal’s Web UI.' }),
    counts: countsSchema,
    warnings: z.array(z.string()),
    error: errorSchema.nullable(),
    pauseRequested: z.boolean(),
    cancelRequested: z.boolean(),
    requestedBy: z.string(),
    createdAt: timestamp,
    startedAt: timestamp.nullable(),
    finishedAt: timestamp.nullable(),
  })
  .openapi('Sync')

export const liveSync = syncSchema
  .extend({
    lastEvent: z.int().openapi({ description: 'The number of its last event: what is shown here is as new as that.' }),
    live: z
      .object({ spacesTotal: z.int(), spacesDone: z.int(), spacesInFlight: z.array(idSchema) })
      .nullable()
      .openapi({ description: 'What the workflow itself says; null when it is closed or cannot be asked.' }),
  })
  .openapi('LiveSync')

export const startedSync = z
  .object({ id: idSchema, workflowId: z.string(), state: z.enum(SYNC_STATES), warnings: z.array(z.string()) })
  .openapi('StartedSync')

export const targetSchema = z
  .object({
    id: idSchema,
    spaceId: idSchema,
    spaceName: z.string().nullable(),
    instanceId: idSchema,
    instanceName: z.string().nullable(),
    bindingId: idSchema.nullable(),
    action: z
      .string()
      .nullable()
      .openapi({ description: 'create, update, unchanged, remove, conflict or skip; null before planning' }),
    state: z.enum(TARGET_STATES),
    changes: z.array(z.unknown()).nullable().openapi({ description: 'Field changes; secrets masked.' }),
    attempts: z.int(),
    error: errorSchema.nullable(),
    note: z.string().nullable(),
    conflict: z
      .object({ remoteId: z.string(), name: z.string(), because: z.string() })
      .nullable()
      .openapi({ description: 'The foreign object in the way, which POST /bindings/{id}/adopt can take over.' }),
    startedAt: timestamp.nullable(),
    finishedAt: timestamp.nullable(),
    updatedAt: timestamp,
  })
  .openapi('SyncTarget')

/** `counts`: of the targets as they stand, where the record lags behind. */
export function showSync(
  deps: ApiDeps,
  sync: SyncRecord,
  counts: TargetCounts = sync.counts,
): z.infer<typeof syncSchema> {
  return {
    id: sync.id,
    platformId: sync.platformId,
    profileId: sync.profileId,
    name: sync.name,
    action: sync.action,
    state: sync.state,
    phase: sync.phase,
    selection: sync.selection,
    writePolicy: sync.writePolicy,
    dryRun: sync.dryRun,
    acceptWarnings: sync.acceptWarnings,
    confirmPrune: sync.confirmPrune,
    retryOf: sync.retryOf,
    planOf: sync.planOf,
    workflowId: sync.workflowId,
    temporalUrl: deps.syncRuns.uiUrl(sync.workflowId, sync.runId),
    counts,
    warnings: sync.warnings,
    error: shownError(sync.errorType, sync.errorMessage),
    pauseRequested: sync.pauseRequested,
    cancelRequested: sync.cancelRequested,
    requestedBy: sync.requestedBy,
    createdAt: iso(sync.createdAt),
    startedAt: isoOrNull(sync.startedAt),
    finishedAt: isoOrNull(sync.finishedAt),
  }
}

/** One run with its present counts, and for an open one what its workflow says. */
export async function showLiveSync(deps: ApiDeps, sync: SyncRecord): Promise<z.infer<typeof liveSync>> {
  const lastEvent = sync.eventSeq
  if (isClosed(sync.state)) return { ...showSync(deps, sync), lastEvent, live: null }
  const [counts, status] = await Promise.all([countTargets(deps.store, sync.id), deps.syncRuns.query(sync)])
  const live =
    status === null
      ? null
      : { spacesTotal: status.spacesTotal, spacesDone: status.spacesDone, spacesInFlight: status.spacesInFlight }
  return { ...showSync(deps, sync, counts), lastEvent, live }
}

export function showTarget(target: TargetView): z.infer<typeof targetSchema> {
  return {
    id: target.id,
    spaceId: target.spaceId,
    spaceName: target.spaceName,
    instanceId: target.instanceId,
    instanceName: target.instanceName,
    bindingId: target.bindingId,
    action: target.action,
    state: target.state,
    changes: target.changes,
    attempts: target.attempts,
    error: shownError(target.errorType, target.errorMessage),
    note: target.note,
    conflict: target.conflict,
    startedAt: isoOrNull(target.startedAt),
    finishedAt: isoOrNull(target.finishedAt),
    updatedAt: iso(target.updatedAt),
  }
}
