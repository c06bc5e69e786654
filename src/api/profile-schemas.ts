import { z } from '@hono/zod-openapi'
import { cronProblem, isTimezone, LONGEST_INTERVAL_MS, SHORTEST_INTERVAL_MS } from '../domain/schedule.ts'
import { SYNC_STATES } from '../domain/states.ts'
import type { ProfileRecord } from '../store/profiles.ts'
import type { SyncRecord } from '../store/syncs.ts'
import { idSchema, iso, isoOrNull, nameSchema, timestamp } from './schemas.ts'
import { confirmPrune, writePolicy } from './sync-schemas.ts'

const action = z
  .enum(['sync', 'check'])
  .default('sync')
  .openapi({ description: 'check: plan only and note drift; with driftPolicy "heal" it is a sync.' })
const jitterMs = z
  .int()
  .min(0)
  .max(24 * 3_600_000)
  .default(0)
  .openapi({ description: 'Random delay of each run, up to this many ms.' })

const cron = z.string().superRefine((text, context) => {
  const problem = cronProblem(text)
  if (problem !== null) context.addIssue({ code: 'custom', message: problem })
})
const timezone = z.string().refine(isTimezone, 'is no time zone; use an IANA name like Asia/Shanghai')

const scheduleInput = z
  .union(
    [
      z.strictObject({ action, cron, timezone: timezone.default('UTC'), jitterMs }),
      z.strictObject({ action, intervalMs: z.int().min(SHORTEST_INTERVAL_MS).max(LONGEST_INTERVAL_MS), jitterMs }),
    ],
    {
      error: (issue) => firstMessage(issue) ?? 'must have either cron (and timezone) or intervalMs',
    },
  )
  .openapi('Schedule')

const selection = z
  .strictObject({
    instanceIds: z.union([z.literal('all'), z.array(idSchema).min(1).max(500)], {
      error: 'must be "all" or a list of at least one instance id',
    }),
    spaceIds: z.union([z.literal('all'), z.array(idSchema).min(1).max(5000)], {
      error: 'must be "all" or a list of at least one space id',
    }),
  })
  .openapi('ProfileSelection', { description: '"all" takes in what comes later, too.' })

const fields = {
  name: nameSchema,
  selection,
  writePolicy,
  driftPolicy: z.enum(['report', 'heal']).openapi({
    description:
      'What its runs do where a platform’s object was changed by somebody else: leave and show it, or write it anew.',
  }),
  onToolsChanged: z.enum(['sync', 'report']).openapi({
    description:
      'What happens when an MCP server offers other tools than were deployed: a run brings them once the list has settled, or it is only shown.',
  }),
  rotateAfterDays: z.int().min(1).max(36_500).nullable().openapi({
    description: 'Its runs replace minted tokens that are older. Null: as the platform or the installation says.',
  }),
  schedule: scheduleInput.nullable().openapi({ description: 'Null: it runs when triggered only.' }),
  acceptWarnings: z.boolean().default(false),
}

export const profileInput = z
  .strictObject({
    ...fields,
    platformId: idSchema,
    writePolicy: fields.writePolicy.default('upsert-only'),
    driftPolicy: fields.driftPolicy.default('report'),
    onToolsChanged: fields.onToolsChanged.default('sync'),
    rotateAfterDays: fields.rotateAfterDays.default(null),
    schedule: fields.schedule.default(null),
  })
  .openapi('ProfileInput')

export const profilePatch = z
  .strictObject({
    name: fields.name.optional(),
    selection: fields.selection.optional(),
    writePolicy: fields.writePolicy.optional(),
    driftPolicy: fields.driftPolicy.optional(),
    onToolsChanged: fields.onToolsChanged.optional(),
    rotateAfterDays: fields.rotateAfterDays.optional(),
    schedule: fields.schedule.optional(),
  })
  .openapi('ProfilePatch')

export const pauseInput = z.strictObject({ reason: z.string().trim().min(1).max(500).optional() })
export const triggerInput = z.strictObject({
  dryRun: z.boolean().optional().openapi({ description: 'true: look only. Default: as its schedule does.' }),
  confirmPrune,
})

export const profileSchema = z
  .object({
    id: idSchema,
    platformId: idSchema,
    name: z.string(),
    selection: z.object({
      instanceIds: z.union([z.literal('all'), z.array(idSchema)]),
      spaceIds: z.union([z.literal('all'), z.array(idSchema)]),
    }),
    writePolicy: z.string(),
    driftPolicy: z.enum(['report', 'heal']),
    onToolsChanged: z.enum(['sync', 'report']),
    rotateAfterDays: z.int().nullable(),
    schedule: z
      .object({
        action: z.enum(['sync', 'check']),
        cron: z.string().optional(),
        timezone: z.string().optional(),
        intervalMs: z.int().optional(),
        jitterMs: z.int(),
      })
      .nullable(),
    paused: z.boolean(),
    pauseReason: z.string().nullable(),
    nextRuns: z
      .array(timestamp)
      .nullable()
      .openapi({ description: 'As Temporal has it; null while it cannot be asked, or has not been told yet.' }),
    lastRun: z
      .object({ id: idSchema, state: z.enum(SYNC_STATES), createdAt: timestamp, finishedAt: timestamp.nullable() })
      .nullable(),
    rowVersion: z.int(),
    createdAt: timestamp,
    updatedAt: timestamp,
  })
  .openapi('Profile')

export function showProfile(
  profile: ProfileRecord,
  nextRuns: Date[] | null,
  lastRun: SyncRecord | null,
): z.infer<typeof profileSchema> {
  return {
    id: profile.id,
    platformId: profile.platformId,
    name: profile.name,
    selection: profile.selection,
    writePolicy: profile.writePolicy,
    driftPolicy: profile.driftPolicy,
    onToolsChanged: profile.onToolsChanged,
    rotateAfterDays: profile.rotateAfterDays,
    schedule: profile.schedule,
    paused: profile.paused,
    pauseReason: profile.pauseReason,
    nextRuns: nextRuns === null ? null : nextRuns.map(iso),
    lastRun:
      lastRun === null
        ? null
        : {
            id: lastRun.id,
            state: lastRun.state,
            createdAt: iso(lastRun.createdAt),
            finishedAt: isoOrNull(lastRun.finishedAt),
          },
    rowVersion: profile.rowVersion,
    createdAt: iso(profile.createdAt),
    updatedAt: iso(profile.updatedAt),
  }
}

/** A union's own message hides what is wrong inside: what one of its branches says beyond "wrong keys" is more use. */
function firstMessage(issue: unknown): string | undefined {
  if (typeof issue !== 'object' || issue === null || !('errors' in issue) || !Array.isArray(issue.errors))
    return undefined
  const custom = issue.errors
    .flat()
    .find((inner: { code?: string }) => inner.code === 'custom' || inner.code === 'too_small')
  return custom === undefined ? undefined : `${[...custom.path].join('.')}: ${custom.message}`
}
