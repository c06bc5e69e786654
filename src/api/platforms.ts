import { z } from '@hono/zod-openapi'
import { credentialWarning } from '../domain/credential-expiry.ts'
import type { PlatformCheck, RemoteSpace } from '../platforms/platform.ts'
import {
  clearCredential,
  createPlatform,
  deletePlatform,
  findPlatformByRemoteKey,
  getPlatform,
  listPlatforms,
  type PlatformRecord,
  setCredential,
  setCredentialState,
  setPlatformChecked,
  updatePlatform,
} from '../store/platforms.ts'
import { findPlatformOfSpaces, upsertSpaces } from '../store/spaces.ts'
import type { Api } from './context.ts'
import { deleteWithObjects, deletionQuery, deletionResponses } from './deletion.ts'
import type { ApiDeps, PlatformTarget } from './deps.ts'
import { etag, ifMatchHeader, optionalIfMatch } from './if-match.ts'
import { plainAddress } from './input-rules.ts'
import { signalOpenRuns } from './open-runs.ts'
import { pageOf, pageQuery } from './pagination.ts'
import { checkFailed, credentialStateOf, savedTarget, withPlatform } from './platform-check.ts'
import {
  type Draft,
  draftOf,
  draftWithCredential,
  patchedDraft,
  refuseOtherUser,
  refuseUnusableGateway,
  remoteKeyOf,
  targetOf,
  withAccount,
} from './platform-kinds.ts'
import { checkSchema, credentialInput, platformInput, platformPatch, platformSchema } from './platform-schemas.ts'
import { ApiProblem, invalidRequest, notFound } from './problem.ts'
import { body, defineRoute, json } from './route.ts'
import { flagQuery, idParam, iso, isoOrNull } from './schemas.ts'

const tags = ['platforms']
const forceQuery = z.object({ force: flagQuery.openapi({ description: 'Save it although the check fails.' }) })
const saved = { 200: json(platformSchema, 'The platform') }

const listRoute = defineRoute('viewer', {
  method: 'get',
  path: '/api/v1/platforms',
  operationId: 'listPlatforms',
  tags,
  summary: 'Platforms',
  request: { query: pageQuery.extend({ kind: z.enum(['dify', 'coze']).optional() }) },
  responses: { 200: json(pageOf(platformSchema), 'Platforms') },
})

const createRoute = defineRoute(
  'admin',
  {
    method: 'post',
    path: '/api/v1/platforms',
    operationId: 'createPlatform',
    tags,
    summary: 'Register a platform; its connection is checked first',
    request: { query: forceQuery, body: body(platformInput) },
    responses: { 201: json(platformSchema, 'Registered') },
  },
  { resource: 'platform', action: 'create' },
)

const checkUnsavedRoute = defineRoute(
  'admin',
  {
    method: 'post',
    path: '/api/v1/platforms/check',
    operationId: 'checkUnsavedPlatform',
    tags,
    summary: 'Check a platform without saving it',
    request: { body: body(platformInput) },
    responses: { 200: json(checkSchema, 'What was found') },
  },
  { resource: 'platform', action: 'check' },
)

const getRoute = defineRoute('viewer', {
  method: 'get',
  path: '/api/v1/platforms/{id}',
  operationId: 'getPlatform',
  tags,
  summary: 'A platform',
  request: { params: idParam },
  responses: saved,
})

const patchRoute = defineRoute(
  'admin',
  {
    method: 'patch',
    path: '/api/v1/platforms/{id}',
    operationId: 'updatePlatform',
    tags,
    summary: 'Change a platform; another address or user drops the secret, which must be given again',
    request: { params: idParam, headers: ifMatchHeader, query: forceQuery, body: body(platformPatch) },
    responses: saved,
  },
  { resource: 'platform', action: 'update' },
)

const deleteRoute = defineRoute(
  'admin',
  {
    method: 'delete',
    path: '/api/v1/platforms/{id}',
    operationId: 'deletePlatform',
    tags,
    summary: 'Delete a platform with its bindings; our objects are removed from it first',
    request: { params: idParam, query: deletionQuery },
    responses: deletionResponses,
  },
  { resource: 'platform', action: 'delete' },
)

const checkRoute = defineRoute(
  'operator',
  {
    method: 'post',
    path: '/api/v1/platforms/{id}/check',
    operationId: 'checkPlatform',
    tags,
    summary: 'Check a saved platform',
    request: { params: idParam },
    responses: { 200: json(checkSchema, 'What was found') },
  },
  { resource: 'platform', action: 'check' },
)

const putCredentialRoute = defineRoute(
  'admin',
  {
    method: 'put',
    path: '/api/v1/platforms/{id}/credential',
    operationId: 'setPlatformCredential',
    tags,
    summary: 'Give the password or cookie (anew); runs that wait for it continue',
    request: { params: idParam, query: forceQuery, body: body(credentialInput) },
    responses: saved,
  },
  { resource: 'platform', action: 'set-credential' },
)

const deleteCredentialRoute = defineRoute(
  'admin',
  {
    method: 'delete',
    path: '/api/v1/platforms/{id}/credential',
    operationId: 'deletePlatformCredential',
    tags,
    summary: 'Forget the password or cookie',
    request: { params: idParam },
    responses: saved,
  },
  { resource: 'platform', action: 'clear-credential' },
)

export function registerPlatforms(app: Api, deps: ApiDeps): void {
  const { store } = deps

  const find = async (id: string): Promise<PlatformRecord> => {
    const platform = await getPlatform(store, id)
    if (platform === null) throw notFound('platform', id)
    return platform
  }
  const show = (platform: PlatformRecord) => showPlatform(platform, deps.facts.publicUrl)
  const check = (
    target: PlatformTarget,
    signal: AbortSignal,
    gatewayUrl: string | null | undefined,
  ): Promise<PlatformCheck> =>
    withPlatform(deps, target, signal, (adapter, inner) =>
      adapter.check({ signal: inner, gatewayUrl: gatewayUrl ?? deps.facts.publicUrl }),
    )

  app.openapi(listRoute, async (c) => {
    const page = await listPlatforms(store, c.req.valid('query'))
    return c.json({ items: page.items.map(show), nextCursor: page.nextCursor }, 200)
  })

  app.openapi(createRoute, async (c) => {
    const input = c.req.valid('json')
    const given = draftOf(deps, input)
    const gatewayUrl = checkedGatewayUrl(input.gatewayUrl) ?? null
    refuseUnusableGateway(given, gatewayUrl)
    const target = targetOf(given)
    // Known before anybody is asked, where it is; a personal COZE account may be known only by its cookie.
    if (given.kind === 'dify') await refuseRegistered(deps, given)
    const found = target === null ? null : await check(target, c.req.raw.signal, gatewayUrl)
    if (found !== null && !found.ok && !c.req.valid('query').force) throw checkFailed(found, given.kind)
    const draft = withAccount(given, found?.account ?? null)
    await refuseRegistered(deps, draft)
    const listed = target !== null && found?.ok === true ? await spacesOf(deps, target, c.req.raw.signal) : []
    await refuseByOtherName(deps, draft, listed, null)
    const platform = await createPlatform(store, {
      kind: draft.kind,
      name: input.name,
      remoteKey: remoteKeyOf(draft),
      settings: draft.settings,
      gatewayUrl,
      rotateAfterDays: input.rotateAfterDays ?? null,
      credential: draft.credential,
      ...(found === null
        ? {}
        : {
            credentialState: credentialStateOf(found),
            credentialExpiresAt: found.credentialExpiresAt ?? null,
            checkedAt: new Date(),
          }),
    })
    c.set('auditId', platform.id)
    await upsertSpaces(store, platform.id, listed)
    c.header('location', `/api/v1/platforms/${platform.id}`)
    c.header('etag', etag(platform.rowVersion))
    return c.json(show(platform), 201)
  })

  app.openapi(checkUnsavedRoute, async (c) => {
    const input = c.req.valid('json')
    const draft = draftOf(deps, input)
    refuseUnusableGateway(draft, checkedGatewayUrl(input.gatewayUrl))
    const target = targetOf(draft)
    if (target === null) throw invalidRequest([{ field: 'cookie', message: 'Nothing can be checked without it.' }])
    return c.json(showCheck(await check(target, c.req.raw.signal, input.gatewayUrl)), 200)
  })

  app.openapi(getRoute, async (c) => {
    const platform = await find(c.req.valid('param').id)
    c.header('etag', etag(platform.rowVersion))
    return c.json(show(platform), 200)
  })

  app.openapi(patchRoute, async (c) => {
    const patch = c.req.valid('json')
    const platform = await find(c.req.valid('param').id)
    const version = optionalIfMatch(c.req.valid('header')['if-match'])
    const { draft, moved, placed } = patchedDraft(deps, platform, patch)
    const target = targetOf(draft)
    const gatewayUrl = checkedGatewayUrl(patch.gatewayUrl)
    refuseUnusableGateway(draft, gatewayUrl)
    const called = gatewayUrl === undefined ? platform.gatewayUrl : gatewayUrl
    const found = target === null ? null : await check(target, c.req.raw.signal, called)
    if (found !== null && !found.ok && !c.req.valid('query').force) throw checkFailed(found, draft.kind)
    if (moved && target !== null && found?.ok === true) {
      await refuseByOtherName(deps, draft, await spacesOf(deps, target, c.req.raw.signal), platform.id)
    }
    const given =
      draft.credential === null || found === null
        ? null
        : { credential: draft.credential, state: credentialStateOf(found) }
    // Settings, and the secret for them, are those that were read with this change: nobody else's since then may get lost.
    const after = await updatePlatform(store, platform.id, placed ? (version ?? platform.rowVersion) : version, {
      ...(placed ? { settings: draft.settings, remoteKey: remoteKeyOf(draft) } : {}),
      ...(given !== null || moved ? { credential: given } : {}),
      ...(patch.name === undefined ? {} : { name: patch.name }),
      ...(gatewayUrl === undefined ? {} : { gatewayUrl }),
      ...(patch.rotateAfterDays === undefined ? {} : { rotateAfterDays: patch.rotateAfterDays }),
      ...(found === null ? {} : { checkedAt: new Date() }),
    })
    if (given !== null) await signalOpenRuns(deps, { platformId: platform.id }, { type: 'credentialReplaced' })
    c.header('etag', etag(after.rowVersion))
    return c.json(show(after), 200)
  })

  app.openapi(deleteRoute, async (c) => {
    const platform = await find(c.req.valid('param').id)
    const erase = (options: { forget: boolean }) => deletePlatform(store, platform.id, options)
    const deletion = await deleteWithObjects(c, deps, { platformId: platform.id }, erase, c.req.valid('query'))
    if ('syncs' in deletion) return c.json(deletion, 202)
    return deletion.effective ? c.body(null, 204) : c.json(deletion, 200)
  })

  app.openapi(checkRoute, async (c) => {
    const platform = await find(c.req.valid('param').id)
    const { target, credentialVersion } = await savedTarget(deps, platform)
    const found = await check(target, c.req.raw.signal, platform.gatewayUrl)
    await setPlatformChecked(store, platform.id)
    const state = credentialStateOf(found)
    // Unknown: the platform could not be asked, and what is known of the credential stands.
    if (state !== 'unknown') {
      await setCredentialState(store, platform.id, state, credentialVersion, found.credentialExpiresAt)
    }
    return c.json(showCheck(found), 200)
  })

  app.openapi(putCredentialRoute, async (c) => {
    const platform = await find(c.req.valid('param').id)
    const input = c.req.valid('json')
    const given = draftWithCredential(platform, input)
    const target = targetOf(given)
    if (target === null || given.credential === null) throw new Error('a draft with a credential has a target')
    const found = await check(target, c.req.raw.signal, platform.gatewayUrl)
    if (!found.ok && !c.req.valid('query').force) throw checkFailed(found, given.kind)
    refuseOtherUser(given, found, input.confirmUserChange)
    // Where it points was not looked at when it was moved there without its secret.
    if (!platform.hasCredential && found.ok) {
      await refuseByOtherName(deps, given, await spacesOf(deps, target, c.req.raw.signal), platform.id)
    }
    const draft = withAccount(given, found.account ?? null)
    const credential = {
      credential: given.credential,
      state: credentialStateOf(found),
      expiresAt: found.credentialExpiresAt ?? null,
    }
    // For the place that it was tried at: a platform that was moved meanwhile must not be sent it.
    const { rowVersion } = platform
    const after =
      JSON.stringify(draft.settings) === JSON.stringify(given.settings)
        ? await setCredential(store, platform.id, { ...credential, rowVersion })
        : await updatePlatform(store, platform.id, rowVersion, { settings: draft.settings, credential })
    await setPlatformChecked(store, platform.id)
    await signalOpenRuns(deps, { platformId: platform.id }, { type: 'credentialReplaced' })
    return c.json(show(after), 200)
  })

  app.openapi(deleteCredentialRoute, async (c) => {
    const platform = await find(c.req.valid('param').id)
    return c.json(show(await clearCredential(store, platform.id)), 200)
  })
}

function showPlatform(platform: PlatformRecord, publicUrl: string): z.infer<typeof platformSchema> {
  return {
    id: platform.id,
    kind: platform.kind,
    name: platform.name,
    settings: platform.settings,
    gatewayUrl: platform.gatewayUrl,
    effectiveGatewayUrl: platform.gatewayUrl ?? publicUrl,
    rotateAfterDays: platform.rotateAfterDays,
    hasCredential: platform.hasCredential,
    credentialState: platform.credentialState,
    credentialExpiresAt: isoOrNull(platform.credentialExpiresAt),
    credentialWarning: platform.hasCredential ? credentialWarning(platform.credentialExpiresAt, Date.now()) : null,
    status: platform.status,
    checkedAt: isoOrNull(platform.checkedAt),
    rowVersion: platform.rowVersion,
    createdAt: iso(platform.createdAt),
    updatedAt: iso(platform.updatedAt),
  }
}

function showCheck(found: PlatformCheck): z.infer<typeof checkSchema> {
  const { account, credentialExpiresAt, ...rest } = found
  return { ...rest, account: account ?? null, credentialExpiresAt: isoOrNull(credentialExpiresAt ?? null) }
}

/** The spaces of a platform that was just checked; a failure here does not hinder the registration, and a refresh makes up for it. */
async function spacesOf(deps: ApiDeps, target: PlatformTarget, signal: AbortSignal): Promise<RemoteSpace[]> {
  try {
    return await withPlatform(deps, target, signal, (adapter, inner) => adapter.listSpaces({ signal: inner }))
  } catch (error) {
    deps.logger.warn({ error: error instanceof Error ? error.name : 'unknown' }, 'spaces were not listed')
    return []
  }
}

function checkedGatewayUrl(text: string | null | undefined): string | null | undefined {
  if (text === undefined || text === null) return text
  return plainAddress(text, 'gatewayUrl', 'https://gateway.example.com')
}

async function refuseRegistered(deps: ApiDeps, draft: Draft): Promise<void> {
  const same = await findPlatformByRemoteKey(deps.store, remoteKeyOf(draft))
  if (same !== null) throw alreadyRegistered(same, draft)
}

/** One database can have several addresses; its workspaces tell. */
async function refuseByOtherName(
  deps: ApiDeps,
  draft: Draft,
  listed: readonly RemoteSpace[],
  ownId: string | null,
): Promise<void> {
  if (draft.kind !== 'dify') return
  const remoteIds = listed.map((space) => space.remoteId)
  const same = await findPlatformOfSpaces(deps.store, draft.kind, remoteIds, ownId)
  if (same !== null) throw alreadyRegistered(same, draft)
}

function alreadyRegistered(same: PlatformRecord, draft: Draft): ApiProblem {
  const what = draft.kind === 'dify' ? 'database' : 'COZE account'
  const message = `This ${what} is already registered as the platform "${same.name}" (${same.id}).`
  const field = draft.kind === 'dify' ? 'database' : draft.settings.accountType === 'team' ? 'enterpriseId' : 'userId'
  return new ApiProblem(409, 'already_registered', message, {
    hint: 'Use or change that platform.',
    errors: [{ field, message }],
  })
}
