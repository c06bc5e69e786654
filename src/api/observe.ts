import { z } from '@hono/zod-openapi'
import { DEPLOYMENT_STATES } from '../domain/states.ts'
import { listAudit } from '../store/audit.ts'
import { countDeployments } from '../store/deployments.ts'
import { listJournalEntries } from '../store/journal.ts'
import { manualTokenNames } from '../store/manual-tokens.ts'
import { listOpenSyncs } from '../store/syncs.ts'
import { TOKEN_ATTENTION_KINDS } from '../store/token-attention.ts'
import { UPSTREAM_TOOLS } from '../store/tool-changes.ts'
import { auditFilterQuery } from './audit-export.ts'
import type { Api } from './context.ts'
import type { ApiDeps } from './deps.ts'
import { pageOf, pageQuery } from './pagination.ts'
import { defineRoute, json } from './route.ts'
import { idSchema, iso, timestamp } from './schemas.ts'
import { showSync, syncSchema } from './sync-schemas.ts'
import { tokenAttention } from './token-attention.ts'

/** What only looks: overview, audit, the gateway's journal, settings. */

const MAX_RUNS_SHOWN = 20

/** From then on a credential's end is spoken of; the platform tells it in two steps (src/domain/credential-expiry.ts). */
const EXPIRY_WARNING_MS = 7 * 24 * 3_600_000

const attentionSchema = z
  .object({
    kind: z.enum([
      'platform_credential',
      'credential_expiring',
      'run_waiting',
      'drifted',
      'failed',
      'conflict',
      'tools_changed',
      ...TOKEN_ATTENTION_KINDS,
      'client_token_expires',
    ]),
    message: z.string(),
    platformId: idSchema.nullable(),
    syncId: idSchema.nullable(),
    instance: z
      .object({ id: idSchema, name: z.string() })
      .nullable()
      .openapi({ description: 'Of client_token_expires: it lists its tokens.' }),
    count: z.int(),
  })
  .openapi('Attention')

const overviewRoute = defineRoute('viewer', {
  method: 'get',
  path: '/api/v1/overview',
  operationId: 'getOverview',
  tags: ['observe'],
  summary: 'Counts, runs that are going on, and what needs attention',
  responses: {
    200: json(
      z
        .object({
          platforms: z.int(),
          spaces: z.int(),
          instances: z.int(),
          bindings: z.int(),
          deployments: z
            .object({ total: z.int() })
            .extend(Object.fromEntries(DEPLOYMENT_STATES.map((state) => [state, z.int()]))),
          runs: z.array(syncSchema),
          attention: z.array(attentionSchema),
        })
        .openapi('Overview'),
      'The overview',
    ),
  },
})

const auditRoute = defineRoute('admin', {
  method: 'get',
  path: '/api/v1/audit',
  operationId: 'listAudit',
  tags: ['observe'],
  summary: 'Who did what: field names, never values; the newest first',
  request: {
    query: pageQuery.extend(auditFilterQuery.shape).extend({
      from: timestamp.optional().openapi({ description: 'From this moment on.' }),
      to: timestamp.optional().openapi({ description: 'Before this moment.' }),
    }),
  },
  responses: {
    200: json(
      pageOf(
        z
          .object({
            id: idSchema,
            at: timestamp,
            actor: z.string(),
            actorId: z.string().nullable(),
            action: z.string(),
            resource: z.string(),
            resourceId: z.string().nullable(),
            fields: z.array(z.string()),
            outcome: z.enum(['allowed', 'refused']),
            requestId: z.string().nullable(),
          })
          .openapi('AuditEvent'),
      ),
      'Audit events',
    ),
  },
})

const logsRoute = defineRoute('viewer', {
  method: 'get',
  path: '/api/v1/gateway/logs',
  operationId: 'listGatewayLogs',
  tags: ['observe'],
  summary: 'The gateway’s journal: who called what, never a value; the newest first',
  request: {
    query: pageQuery.extend({
      instanceId: idSchema.optional(),
      bindingId: idSchema.optional(),
      tokenId: idSchema.optional(),
      tool: z.string().min(1).max(191).optional().openapi({ description: 'The name of a called tool.' }),
      status: z
        .union([z.enum(['1xx', '2xx', '3xx', '4xx', '5xx']), z.coerce.number().int().min(100).max(599)])
        .optional()
        .openapi({ description: 'An HTTP status, or a class of them such as 4xx.', type: 'string', example: '4xx' }),
      since: timestamp.optional(),
      until: timestamp.optional(),
    }),
  },
  responses: {
    200: json(
      pageOf(
        z
          .object({
            id: idSchema,
            at: timestamp,
            instanceId: idSchema,
            bindingId: idSchema.nullable(),
            tokenId: idSchema.nullable(),
            tokenName: z.string().nullable().openapi({
              description: 'Of a token made by hand; kept as long as the journal after it has ended.',
            }),
            method: z.string(),
            toolName: z.string().nullable(),
            status: z.int(),
            errorCode: z.string().nullable(),
            requestBytes: z.int(),
            responseBytes: z.int(),
            durationMs: z.int(),
            traceId: z.string(),
          })
          .openapi('GatewayLogEntry'),
      ),
      'Journal entries',
    ),
  },
})

const settingsRoute = defineRoute('viewer', {
  method: 'get',
  path: '/api/v1/settings',
  operationId: 'getSettings',
  tags: ['observe'],
  summary: 'Facts of this installation',
  responses: {
    200: json(
      z
        .object({
          version: z.string(),
          publicUrl: z.string(),
          gatewayUrl: z.string(),
          storeEngine: z.enum(['sqlite', 'mysql']),
          retention: z
            .object({ syncDays: z.int(), journalDays: z.int(), auditDays: z.int() })
            .openapi({ description: 'How long runs, the gateway’s journal and the audit are kept.' }),
          temporal: z.object({
            address: z.string(),
            namespace: z.string(),
            uiUrl: z.string().nullable(),
            embedded: z.boolean(),
          }),
        })
        .openapi('Settings'),
      'Settings',
    ),
  },
})

export function registerObserve(app: Api, deps: ApiDeps): void {
  const { store } = deps

  app.openapi(overviewRoute, async (c) => {
    const [platforms, spaces, instances, bindings, deployments, runs] = await Promise.all([
      store.db.platform.count(),
      store.db.space.count(),
      store.db.mcpInstance.count({ where: { status: { not: 'deleted' } } }),
      store.db.binding.count(),
      countDeployments(store),
      listOpenSyncs(store),
    ])
    const shown = runs.slice(-MAX_RUNS_SHOWN).map((run) => showSync(deps, run))
    const attention = await attentionOf(deps)
    return c.json({ platforms, spaces, instances, bindings, deployments, runs: shown, attention }, 200)
  })

  app.openapi(auditRoute, async (c) => {
    const { from, to, ...query } = c.req.valid('query')
    const page = await listAudit(store, {
      ...query,
      from: from === undefined ? undefined : new Date(from),
      to: to === undefined ? undefined : new Date(to),
    })
    return c.json(
      { items: page.items.map((event) => ({ ...event, at: iso(event.at) })), nextCursor: page.nextCursor },
      200,
    )
  })

  app.openapi(logsRoute, async (c) => {
    const { tool, since, until, ...query } = c.req.valid('query')
    const page = await listJournalEntries(store, {
      ...query,
      toolName: tool,
      since: since === undefined ? undefined : new Date(since),
      until: until === undefined ? undefined : new Date(until),
    })
    const byHand = page.items.flatMap(({ bindingId, tokenId }) =>
      bindingId === null && tokenId !== null ? tokenId : [],
    )
    const names = await manualTokenNames(store, byHand)
    const items = page.items.map((entry) => ({
      ...entry,
      at: iso(entry.at),
      tokenName: (entry.tokenId === null ? undefined : names.get(entry.tokenId)) ?? null,
    }))
    return c.json({ items, nextCursor: page.nextCursor }, 200)
  })

  app.openapi(settingsRoute, (c) => {
    const { version, publicUrl, gatewayUrl, storeEngine, retention, temporal } = deps.facts
    return c.json({ version, publicUrl, gatewayUrl, storeEngine, retention, temporal }, 200)
  })
}

async function attentionOf(deps: ApiDeps): Promise<z.infer<typeof attentionSchema>[]> {
  const { db } = deps.store
  const [platforms, expiring, waiting, groups, toolsChanged, tokens] = await Promise.all([
    db.platform.findMany({ where: { credentialState: { in: ['none', 'refused', 'expired'] } }, take: 50 }),
    db.platform.findMany({
      where: {
        credentialState: { notIn: ['none', 'refused', 'expired'] },
        credentialExpiresAt: { lte: new Date(Date.now() + EXPIRY_WARNING_MS) },
      },
      take: 50,
    }),
    db.sync.findMany({
      where: { state: 'waiting_for_credential' },
      select: { id: true, platformId: true, name: true },
      take: 50,
    }),
    db.deployment.groupBy({
      by: ['platformId', 'state'],
      where: { state: { in: ['drifted', 'failed', 'conflict'] } },
      _count: { _all: true },
    }),
    db.deployment.groupBy({
      by: ['platformId'],
      where: { driftFields: { contains: UPSTREAM_TOOLS } },
      _count: { _all: true },
      _min: { driftSince: true },
    }),
    tokenAttention(deps),
  ])
  const others = [
    ...platforms.map((row) => ({
      kind: 'platform_credential' as const,
      message: `The platform "${row.name}" has no working credential (${row.credentialState}).`,
      platformId: row.id,
      syncId: null,
      count: 1,
    })),
    ...expiring.map((row) => ({
      kind: 'credential_expiring' as const,
      message: `The credential of the platform "${row.name}" ends about ${row.credentialExpiresAt?.toISOString()}. Give a new one before.`,
      platformId: row.id,
      syncId: null,
      count: 1,
    })),
    ...waiting.map((row) => ({
      kind: 'run_waiting' as const,
      message: `The run "${row.name}" waits for a new credential.`,
      platformId: row.platformId,
      syncId: row.id,
      count: 1,
    })),
    ...groups.map((group) => ({
      kind: group.state as 'drifted' | 'failed' | 'conflict',
      message: `${group._count._all} ${group.state} on one platform.`,
      platformId: group.platformId,
      syncId: null,
      count: group._count._all,
    })),
    ...toolsChanged.map((group) => ({
      kind: 'tools_changed' as const,
      message: `${group._count._all} on one platform: tools changed upstream, since ${group._min.driftSince?.toISOString()}.`,
      platformId: group.platformId,
      syncId: null,
      count: group._count._all,
    })),
  ]
  return [
    ...others.map((entry) => ({ ...entry, instance: null })),
    ...tokens.map((entry) => ({ ...entry, platformId: null, syncId: null })),
  ]
}
