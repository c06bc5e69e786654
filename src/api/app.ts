import { OpenAPIHono } from '@hono/zod-openapi'
import { audit } from '../audit/events.ts'
import { createKeyCheck } from '../audit/key-check.ts'
import { registerAdoption } from './adoption.ts'
import { registerApiKeys } from './api-keys.ts'
import { registerAuditExport } from './audit-export.ts'
import { identify } from './auth.ts'
import { registerBindingTokens } from './binding-tokens.ts'
import { registerBindings } from './bindings.ts'
import { consoleFiles } from './console.ts'
import type { Api, ApiEnv } from './context.ts'
import type { ApiDeps } from './deps.ts'
import { registerDocs } from './docs.ts'
import { registerGatewayCheck } from './gateway-check.ts'
import { registerHealth } from './health.ts'
import { registerInstanceImport } from './instance-import.ts'
import { registerInstanceTools } from './instance-tools.ts'
import { registerInstances } from './instances.ts'
import { registerManualTokens } from './manual-tokens.ts'
import { registerObserve } from './observe.ts'
import { registerPlatforms } from './platforms.ts'
import { ApiProblem, answerError, fieldErrors, invalidRequest } from './problem.ts'
import { registerProfiles } from './profiles.ts'
import { registerRotation } from './rotation.ts'
import { limitedBodies, requestIds, securityHeaders } from './security.ts'
import { registerSession } from './session.ts'
import { registerSpaces } from './spaces.ts'
import { registerSyncActions } from './sync-actions.ts'
import { registerSyncStream } from './sync-stream.ts'
import { registerSyncs } from './syncs.ts'
import { registerWebhooks } from './webhooks.ts'

/**
 * The HTTP API as one Hono app: serve it with @hono/node-server, or call `app.request()`. A request passes: its id, who it
 * is, the body limit, the route's guard (role), validation, the handler; on the way back its audit entry and headers.
 */
export function createApi(deps: ApiDeps): Api {
  const app: Api = new OpenAPIHono<ApiEnv>({
    defaultHook: (result) => {
      if (!result.success) throw invalidRequest(fieldErrors(result.error))
    },
  })
  app.onError((error, c) => answerError(error, c, deps.logger))
  app.notFound((c) => {
    const problem = new ApiProblem(404, 'not_found', 'There is no such resource or method.', {
      hint: 'GET /docs lists every call.',
    })
    return answerError(problem, c, deps.logger)
  })

  app.use(requestIds())
  app.use(securityHeaders())
  // Before anybody is asked who they are: a page and its scripts are the same for everybody.
  if (deps.consoleDirectory !== null) app.use(consoleFiles(deps.consoleDirectory))
  app.use(limitedBodies())
  const keys = createKeyCheck(deps.store)
  app.use(identify(deps, keys))
  app.use(async (c, next) => {
    c.set('audit', async (entry) => {
      const principal = c.get('principal')
      const actor = { name: principal?.name ?? 'anonymous', id: principal?.apiKeyId ?? null }
      await audit(deps.store, { ...entry, actor, requestId: c.get('requestId') })
    })
    await next()
  })

  registerHealth(app, deps)
  registerSession(app, deps, keys)
  registerPlatforms(app, deps)
  registerSpaces(app, deps)
  // Before the routes with {id}: "import" is no id.
  registerInstanceImport(app, deps)
  registerInstances(app, deps)
  registerInstanceTools(app, deps)
  registerManualTokens(app, deps)
  registerBindings(app, deps)
  registerAdoption(app, deps)
  registerRotation(app, deps)
  registerBindingTokens(app, deps)
  registerProfiles(app, deps)
  registerSyncs(app, deps)
  registerSyncActions(app, deps)
  registerSyncStream(app, deps)
  registerApiKeys(app, deps)
  registerWebhooks(app, deps)
  registerObserve(app, deps)
  registerGatewayCheck(app, deps)
  registerAuditExport(app, deps)
  registerDocs(app, deps.facts.version)
  return app
}
