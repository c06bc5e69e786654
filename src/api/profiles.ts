import { getInstances } from '../store/instances.ts'
import { getPlatform, type PlatformRecord } from '../store/platforms.ts'
import { runOfProfile } from '../store/profile-runs.ts'
import {
  createProfile,
  deleteProfile,
  getProfile,
  listProfiles,
  type ProfileRecord,
  type ProfileSelection,
  updateProfile,
} from '../store/profiles.ts'
import { getSpaces } from '../store/spaces.ts'
import { findOpenSyncOfProfile, listSyncs } from '../store/syncs.ts'
import type { Api } from './context.ts'
import type { ApiDeps } from './deps.ts'
import { etag, ifMatchHeader, optionalIfMatch } from './if-match.ts'
import { throwFieldErrors } from './input-rules.ts'
import { pageOf, pageQuery } from './pagination.ts'
import { ApiProblem, beingDeleted, invalidField, notFound } from './problem.ts'
import { pauseInput, profileInput, profilePatch, profileSchema, showProfile, triggerInput } from './profile-schemas.ts'
import { body, defineRoute, json } from './route.ts'
import { idParam, idSchema } from './schemas.ts'
import { refuseUnacceptedWarnings, warningsOf } from './sync-input.ts'
import { startedSync } from './sync-schemas.ts'
import { createAndStart, showStarted } from './syncs.ts'

/** Saved selections with a schedule. The store is written first; Temporal is told at once, or by the reconciler later. */

const tags = ['profiles']
const one = { 200: json(profileSchema, 'The profile') }

const listRoute = defineRoute('viewer', {
  method: 'get',
  path: '/api/v1/profiles',
  operationId: 'listProfiles',
  tags,
  summary: 'Profiles',
  request: { query: pageQuery.extend({ platformId: idSchema.optional() }) },
  responses: { 200: json(pageOf(profileSchema), 'Profiles') },
})

const getRoute = defineRoute('viewer', {
  method: 'get',
  path: '/api/v1/profiles/{id}',
  operationId: 'getProfile',
  tags,
  summary: 'A profile, its next runs and its last one',
  request: { params: idParam },
  responses: one,
})

const createRoute = defineRoute(
  'operator',
  {
    method: 'post',
    path: '/api/v1/profiles',
    operationId: 'createProfile',
    tags,
    summary: 'Save a selection with its policies and schedule',
    request: { body: body(profileInput) },
    responses: { 201: json(profileSchema, 'The profile') },
  },
  { resource: 'profile', action: 'create' },
)

const patchRoute = defineRoute(
  'operator',
  {
    method: 'patch',
    path: '/api/v1/profiles/{id}',
    operationId: 'updateProfile',
    tags,
    summary: 'Change a profile; its next run follows',
    request: { params: idParam, headers: ifMatchHeader, body: body(profilePatch) },
    responses: one,
  },
  { resource: 'profile', action: 'update' },
)

const deleteRoute = defineRoute(
  'operator',
  {
    method: 'delete',
    path: '/api/v1/profiles/{id}',
    operationId: 'deleteProfile',
    tags,
    summary: 'Delete a profile and its schedule; what it brought to the platform stays',
    request: { params: idParam },
    responses: { 204: { description: 'Gone' } },
  },
  { resource: 'profile', action: 'delete' },
)

const triggerRoute = defineRoute(
  'operator',
  {
    method: 'post',
    path: '/api/v1/profiles/{id}/trigger',
    operationId: 'triggerProfile',
    tags,
    summary: 'Run a profile now, paused or not',
    request: { params: idParam, body: { content: { 'application/json': { schema: triggerInput } }, required: false } },
    responses: { 202: json(startedSync, 'A new run was accepted') },
  },
  { resource: 'profile', action: 'trigger' },
)

const pauseRoute = defineRoute(
  'operator',
  {
    method: 'post',
    path: '/api/v1/profiles/{id}/pause',
    operationId: 'pauseProfile',
    tags,
    summary: 'Start no more runs by schedule; one that is going on goes on',
    request: { params: idParam, body: { content: { 'application/json': { schema: pauseInput } }, required: false } },
    responses: one,
  },
  { resource: 'profile', action: 'pause' },
)

const resumeRoute = defineRoute(
  'operator',
  {
    method: 'post',
    path: '/api/v1/profiles/{id}/resume',
    operationId: 'resumeProfile',
    tags,
    summary: 'Run by schedule again',
    request: { params: idParam },
    responses: one,
  },
  { resource: 'profile', action: 'resume' },
)

export function registerProfiles(app: Api, deps: ApiDeps): void {
  const { store } = deps

  const find = async (id: string): Promise<ProfileRecord> => {
    const profile = await getProfile(store, id)
    if (profile === null) throw notFound('profile', id)
    return profile
  }
  const show = async (profile: ProfileRecord) => {
    const [nextRuns, runs] = await Promise.all([
      profile.schedule === null ? [] : deps.scheduler.nextRuns(profile.id),
      listSyncs(store, { profileId: profile.id, limit: 1 }),
    ])
    return showProfile(profile, nextRuns, runs.items[0] ?? null)
  }
  const save = async (profile: ProfileRecord) => {
    await deps.scheduler.apply(profile)
    return await show(profile)
  }

  app.openapi(listRoute, async (c) => {
    const page = await listProfiles(store, c.req.valid('query'))
    return c.json({ items: await Promise.all(page.items.map(show)), nextCursor: page.nextCursor }, 200)
  })

  app.openapi(getRoute, async (c) => {
    const profile = await find(c.req.valid('param').id)
    c.header('etag', etag(profile.rowVersion))
    return c.json(await show(profile), 200)
  })

  app.openapi(createRoute, async (c) => {
    const { acceptWarnings, ...input } = c.req.valid('json')
    const platform = await platformOf(deps, input.platformId)
    await checkSelection(deps, platform, input.selection)
    refuseUnacceptedWarnings(warningsOf(deps, platform), { dryRun: false, acceptWarnings })
    const profile = await createProfile(store, input)
    c.set('auditId', profile.id)
    c.header('location', `/api/v1/profiles/${profile.id}`)
    c.header('etag', etag(profile.rowVersion))
    return c.json(await save(profile), 201)
  })

  app.openapi(patchRoute, async (c) => {
    const before = await find(c.req.valid('param').id)
    const { name, selection, writePolicy, driftPolicy, onToolsChanged, rotateAfterDays, schedule } = c.req.valid('json')
    if (selection !== undefined) await checkSelection(deps, await platformOf(deps, before.platformId), selection)
    const version = optionalIfMatch(c.req.valid('header')['if-match'])
    const profile = await updateProfile(store, before.id, version, {
      ...(name === undefined ? {} : { name }),
      ...(selection === undefined ? {} : { selection }),
      ...(writePolicy === undefined ? {} : { writePolicy }),
      ...(driftPolicy === undefined ? {} : { driftPolicy }),
      ...(onToolsChanged === undefined ? {} : { onToolsChanged }),
      ...(rotateAfterDays === undefined ? {} : { rotateAfterDays }),
      ...(schedule === undefined ? {} : { schedule }),
    })
    c.header('etag', etag(profile.rowVersion))
    return c.json(await save(profile), 200)
  })

  app.openapi(deleteRoute, async (c) => {
    const profile = await find(c.req.valid('param').id)
    await deleteProfile(store, profile.id)
    await deps.scheduler.remove(profile.id)
    return c.body(null, 204)
  })

  app.openapi(triggerRoute, async (c) => {
    const profile = await find(c.req.valid('param').id)
    const open = await findOpenSyncOfProfile(store, profile.id)
    if (open !== null) {
      throw new ApiProblem(409, 'run_open', `A run of this profile is still ${open.state} (${open.id}).`, {
        hint: 'Wait for its end, or cancel it first.',
      })
    }
    const platform = await platformOf(deps, profile.platformId)
    const { run, warnings } = await runOfProfile(store, profile)
    const { dryRun = run.dryRun ?? false, confirmPrune } = c.req.valid('json')
    const input = { ...run, dryRun, confirmPrune, requestedBy: c.get('principal')?.name ?? 'unknown' }
    const sync = await createAndStart(deps, input, [...warningsOf(deps, platform), ...warnings], null)
    const answer = showStarted(c, sync)
    c.set('auditId', profile.id)
    return c.json(answer, 202)
  })

  app.openapi(pauseRoute, async (c) => {
    const { id } = await find(c.req.valid('param').id)
    const { reason } = c.req.valid('json')
    const profile = await updateProfile(store, id, null, { paused: true, pauseReason: reason ?? null })
    return c.json(await save(profile), 200)
  })

  app.openapi(resumeRoute, async (c) => {
    const { id } = await find(c.req.valid('param').id)
    const profile = await updateProfile(store, id, null, { paused: false, pauseReason: null })
    return c.json(await save(profile), 200)
  })
}

async function platformOf(deps: ApiDeps, id: string): Promise<PlatformRecord> {
  const platform = await getPlatform(deps.store, id)
  if (platform === null) {
    throw invalidField('platformId', 'There is no such platform; GET /api/v1/platforms lists them.')
  }
  if (platform.status === 'removing') throw beingDeleted(`The platform "${platform.name}"`)
  return platform
}

async function checkSelection(deps: ApiDeps, platform: PlatformRecord, selection: ProfileSelection): Promise<void> {
  const { instanceIds, spaceIds } = selection
  const instances = instanceIds === 'all' ? [] : await getInstances(deps.store, instanceIds)
  const spaces = spaceIds === 'all' ? [] : await getSpaces(deps.store, spaceIds)
  const knownInstances = new Set(instances.map((instance) => instance.id))
  const knownSpaces = new Set(spaces.filter((space) => space.platformId === platform.id).map((space) => space.id))
  const unknown = (ids: string[] | 'all', known: Set<string>, field: string, message: string) =>
    ids === 'all' ? [] : ids.flatMap((id, index) => (known.has(id) ? [] : [{ field: `${field}[${index}]`, message }]))
  throwFieldErrors([
    ...unknown(
      instanceIds,
      knownInstances,
      'selection.instanceIds',
      'There is no such instance; GET /api/v1/instances lists them.',
    ),
    ...unknown(
      spaceIds,
      knownSpaces,
      'selection.spaceIds',
      'This platform has no such space; GET /api/v1/platforms/{id}/spaces lists them.',
    ),
  ])
}
