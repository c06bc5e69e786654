import { Registry } from 'prom-client'
import { createApi } from '../../src/api/app.ts'
import type { ApiRole } from '../../src/api/context.ts'
import type { ApiDeps } from '../../src/api/deps.ts'
import type { Scheduler } from '../../src/api/scheduler.ts'
import type { LiveStatus, SyncRuns, SyncSignal, SyncSummary } from '../../src/api/sync-runs.ts'
import { createEgressPolicy } from '../../src/egress/policy.ts'
import { callTool } from '../../src/mcp/call.ts'
import { discoverTools } from '../../src/mcp/discover.ts'
import { createPlatform } from '../../src/platforms/registry.ts'
import { createApiKey } from '../../src/store/api-keys.ts'
import { createCallBudget } from '../../src/store/call-budget.ts'
import type { ProfileRecord } from '../../src/store/profiles.ts'
import type { Store } from '../../src/store/store.ts'
import { openTestStore } from '../store/test-store.ts'
import { recordingLogger } from '../support/logger.ts'

/** The API as it is served, on a real store; only Temporal and the gateway are told about instead of run. */

export type Answer = {
  status: number
  headers: Headers
  text: string
  // biome-ignore lint/suspicious/noExplicitAny: a test reads whatever JSON came.
  json: any
}

export type CallOptions = {
  role?: ApiRole | 'anonymous'
  body?: unknown
  headers?: Record<string, string>
  /** Where the call comes from. */
  from?: string
}

export type TestApi = {
  store: Store
  deps: ApiDeps
  runs: FakeRuns
  schedules: FakeSchedules
  /** What the gateway answers to "have you seen it". */
  gateway: { effective: boolean; asked: { revision: number; timeoutMs: number }[] }
  /** Everything that was logged, and every answer's text: where a secret would show. */
  logged: () => string
  answered: () => string
  keys: Record<ApiRole, string>
  app: ReturnType<typeof createApi>
  call(method: string, path: string, options?: CallOptions): Promise<Answer>
  close(): Promise<void>
}

export type FakeRuns = SyncRuns & {
  away: boolean
  started: { syncId: string; summary: SyncSummary }[]
  signals: { syncId: string; signal: SyncSignal }[]
  cancelled: string[]
  live: LiveStatus | null
}

export type FakeSchedules = Scheduler & {
  away: boolean
  /** As Temporal was told last, by profile. */
  told: Map<string, ProfileRecord>
}

export async function openTestApi(
  over: Partial<Omit<ApiDeps, 'facts'>> & { facts?: Partial<ApiDeps['facts']> } = {},
): Promise<TestApi> {
  const { store, close } = await openTestStore()
  const { logger, lines } = recordingLogger()
  const runs = fakeRuns()
  const schedules = fakeSchedules()
  const gateway: TestApi['gateway'] = { effective: true, asked: [] }
  const egress = createEgressPolicy({ allow: [], deny: [], loopbackAllowed: true, ownPorts: new Set() })
  const deps: ApiDeps = {
    store,
    syncRuns: runs,
    scheduler: schedules,
    openPlatform: (target) =>
      createPlatform(target, { egress, cozeBudget: createCallBudget(store, { intervalMs: 0 }) }),
    mcp: { discoverTools, callTool },
    egress,
    gatewaySeen: async (revision, timeoutMs) => {
      gateway.asked.push({ revision, timeoutMs })
      return gateway.effective
    },
    readiness: async () => ({ ready: true, parts: [{ name: 'store', ready: true, detail: null }] }),
    metrics: new Registry(),
    trustedProxies: [],
    consoleDirectory: null,
    logger,
    ...over,
    facts: {
      version: '0.0.0-test',
      publicUrl: 'https://toolferry.test',
      gatewayUrl: 'http://127.0.0.1:8080',
      temporal: { address: '127.0.0.1:7233', namespace: 'default', uiUrl: 'http://127.0.0.1:8233', embedded: true },
      storeEngine: 'sqlite',
      retention: { syncDays: 90, journalDays: 30, auditDays: 365 },
      tokenGraceSeconds: 24 * 3600,
      ...over.facts,
    },
  }
  const app = createApi(deps)
  const keys = {
    admin: (await createApiKey(store, { name: 'adm', role: 'admin' })).secret,
    operator: (await createApiKey(store, { name: 'op', role: 'operator' })).secret,
    viewer: (await createApiKey(store, { name: 'view', role: 'viewer' })).secret,
  }
  const answers: string[] = []

  return {
    store,
    deps,
    runs,
    schedules,
    gateway,
    keys,
    app,
    logged: () => JSON.stringify(lines),
    answered: () => answers.join('\n'),
    async call(method, path, { role = 'admin', body, headers = {}, from = '192.0.2.1' } = {}) {
      const init = {
        method,
        headers: {
          ...(role === 'anonymous' ? {} : { authorization: `Bearer ${keys[role]}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      }
      const response = await app.request(path, init, { incoming: { socket: { remoteAddress: from } } })
      const text = await response.text()
      const head = JSON.stringify([...response.headers])
      answers.push(head, text)
      // Not application/x-ndjson, which is many.
      const isJson = /\bjson\b/.test(response.headers.get('content-type') ?? '')
      return { status: response.status, headers: response.headers, text, json: isJson ? JSON.parse(text) : null }
    },
    close,
  }
}

/** The fields a refusal names. */
export function fieldsOf(answer: Answer): string[] {
  return answer.json.errors.map((error: { field: string }) => error.field)
}

function fakeRuns(): FakeRuns {
  const runs: FakeRuns = {
    away: false,
    started: [],
    signals: [],
    cancelled: [],
    live: null,
    async start({ id: syncId }, summary) {
      if (runs.away) return 'unavailable'
      runs.started.push({ syncId, summary })
      return 'started'
    },
    async signal({ id: syncId }, signal) {
      runs.signals.push({ syncId, signal })
      return runs.away ? 'unavailable' : 'sent'
    },
    async cancel({ id }) {
      runs.cancelled.push(id)
      return 'sent'
    },
    query: async () => runs.live,
    uiUrl: (workflowId) => `http://127.0.0.1:8233/namespaces/default/workflows/${workflowId}`,
  }
  return runs
}

function fakeSchedules(): FakeSchedules {
  const schedules: FakeSchedules = {
    away: false,
    told: new Map(),
    async apply(profile) {
      if (schedules.away) return 'unavailable'
      schedules.told.set(profile.id, profile)
      return 'applied'
    },
    async remove(profileId) {
      if (schedules.away) return 'unavailable'
      schedules.told.delete(profileId)
      return 'applied'
    },
    async nextRuns(profileId) {
      const told = schedules.told.get(profileId)
      if (schedules.away || told === undefined) return null
      return told.paused ? [] : [new Date('2030-01-01T03:00:00Z')]
    },
  }
  return schedules
}
