import pg from 'pg'
import { openAsDify } from '../../demo/dify/mcp-call.ts'
import type { World } from '../../demo/world.ts'
import { type ApiClient, createApiClient } from '../../test/support/api-client.ts'
import type { PictureServer } from './servers.ts'

/** What the pictures tell: an installation that has been in use for some hours. Every step goes through the API, as an admin's would. */

export const GATEWAY_URL = 'https://mcp.example.com'

type Ided = { id: string }
type Binding = { id: string; rowVersion: number; instance: Ided & { name: string }; space: Ided & { name: string } }
type Run = Ided & { state: string }

export type Story = {
  api: ApiClient
  difyId: string
  cozeId: string
  instances: string[]
  /** The first run, all done. */
  runId: string
  /** A target of it. */
  targetId: string
  waitingRunId: string
  profileId: string
}

/** The last server is there, but nobody has it yet. */
const SYNCED = 3

const ENDED = new Set(['planned', 'succeeded', 'partial', 'failed', 'cancelled'])

export function apiOf(world: World): ApiClient {
  const { origin, adminKey } = world.product
  return createApiClient({ origins: () => [origin], gatewayOrigin: () => origin, adminKey: () => adminKey })
}

export async function tellStory(
  world: World,
  servers: PictureServer[],
  api: ApiClient,
  webhookOrigin: string,
): Promise<Story> {
  const { difyId, cozeId } = await connectPlatforms(world, api)
  const instances: string[] = []
  for (const { name, description, server } of servers) {
    const body = { name, description, transport: 'streamable-http', url: server.url }
    const { id } = await api.must<Ided>(201, 'POST', '/instances', body)
    await api.must(200, 'POST', `/instances/${id}/probe`)
    instances.push(id)
  }
  const sync = (name: string, platformId: string, instanceIds = instances.slice(0, SYNCED)) =>
    api.must<Ided>(202, 'POST', '/syncs', { name, platformId, instanceIds, spaceIds: 'all', acceptWarnings: true })
  const { id: runId } = await sync('First servers for Dify', difyId)
  await ended(api, runId)
  await ended(api, (await sync('First servers for COZE', cozeId)).id)

  const bindings = await list<Binding>(api, `/bindings?platformId=${difyId}&limit=200`)
  await useTools(world, api, bindings.slice(0, 4))
  await decide(
    api,
    bindings.filter(({ instance }) => instance.id === instances[0]),
  )
  for (const name of ['Nightly regression', 'Support desk’s Claude']) {
    await api.must(201, 'POST', `/instances/${instances[0]}/tokens`, { name })
  }
  await addWebhooks(api, webhookOrigin)
  await api.must(201, 'POST', '/api-keys', { name: 'nightly report', role: 'viewer' })
  await api.must(201, 'POST', '/api-keys', { name: 'deployment pipeline', role: 'operator' })
  const profileId = await addProfiles(world, api, difyId, cozeId, instances)

  world.coze.simulator.loseSession({ userId: world.coze.user.userId })
  const { id: waitingRunId } = await sync('Weekly refresh', cozeId)
  await until(async () => (await stateOf(api, waitingRunId)) === 'waiting_for_credential')
  const [target] = await list<Ided>(api, `/syncs/${runId}/targets?limit=1`)
  return { api, difyId, cozeId, instances, runId, targetId: target?.id ?? '', waitingRunId, profileId }
}

async function connectPlatforms(world: World, api: ApiClient): Promise<{ difyId: string; cozeId: string }> {
  const dify = await api.must<Ided>(201, 'POST', '/platforms', {
    kind: 'dify',
    name: 'Company Dify',
    database: world.dify.address,
    consoleUrl: 'https://dify.example.com',
    gatewayUrl: GATEWAY_URL,
  })
  const coze = await api.must<Ided>(201, 'POST', '/platforms', {
    kind: 'coze',
    name: 'COZE 企业版',
    baseUrl: world.coze.simulator.origin,
    accountType: 'team',
    enterpriseId: world.coze.enterpriseId,
    cookie: world.coze.user.cookie,
    gatewayUrl: GATEWAY_URL,
  })
  for (const { id } of [dify, coze]) await api.must(200, 'GET', `/platforms/${id}/spaces?refresh=true`)
  return { difyId: dify.id, cozeId: coze.id }
}

/** Calls as Dify makes them, straight to the gateway; the public address is a name that leads nowhere here. */
async function useTools(world: World, api: ApiClient, bindings: Binding[]): Promise<void> {
  for (const { id, instance } of bindings) {
    const { authorization } = await api.must<{ authorization: string }>(200, 'POST', `/bindings/${id}/reveal`)
    const url = `${world.product.origin}/mcp-gateway/${instance.id}/mcp`
    const session = await openAsDify(url, { Authorization: authorization })
    const [tool = ''] = await session.listTools()
    await session.callTool(tool, { customer: 'Lindqvist', query: 'return', place: 'Hangzhou' })
    await session.close()
  }
}

/** One space is cut off from the server, one has headers of its own, one ends some day. */
async function decide(api: ApiClient, bindings: Binding[]): Promise<void> {
  const inDays = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString()
  const changes = [
    { of: bindings[1], patch: { passThroughHeaders: { 'X-Tenant': 'north' }, tags: ['pilot'] } },
    { of: bindings[2], patch: { enabled: false } },
    { of: bindings[0], patch: { expiresAt: inDays(30) } },
  ]
  for (const { of, patch } of changes) {
    if (of === undefined) throw new Error('too few bindings for the pictures')
    const { status, text } = await api.call('PATCH', `/bindings/${of.id}`, patch, { 'if-match': `"${of.rowVersion}"` })
    if (status !== 200) throw new Error(text)
  }
}

async function addWebhooks(api: ApiClient, origin: string): Promise<void> {
  const events = ['sync.failed', 'sync.partial', 'sync.waiting_for_credential']
  const ops = await api.must<Ided>(201, 'POST', '/webhooks', { name: 'On call', url: `${origin}/hook`, events })
  const chat = { name: '飞书群 Platform team', url: `${origin}/chat`, template: 'feishu', language: 'zh' }
  await api.must(201, 'POST', '/webhooks', chat)
  await api.must(200, 'POST', `/webhooks/${ops.id}/test`)
}

/** Two profiles; the check of one finds what somebody changed in Dify by hand. */
async function addProfiles(
  world: World,
  api: ApiClient,
  difyId: string,
  cozeId: string,
  instances: string[],
): Promise<string> {
  const common = { selection: { instanceIds: instances.slice(0, SYNCED), spaceIds: 'all' }, acceptWarnings: true }
  const nightly = await api.must<Ided>(201, 'POST', '/profiles', {
    ...common,
    platformId: difyId,
    name: 'Every night',
    driftPolicy: 'report',
    schedule: { action: 'check', cron: '0 3 * * *', timezone: 'Asia/Shanghai' },
  })
  await api.must(201, 'POST', '/profiles', {
    ...common,
    platformId: cozeId,
    name: 'COZE on Mondays',
    driftPolicy: 'report',
    schedule: { cron: '30 6 * * 1', timezone: 'Asia/Shanghai' },
  })
  const { host, port, user, password, database } = world.dify.address
  const client = new pg.Client({ host, port, user, password, database })
  await client.connect()
  await client.query(`UPDATE tool_mcp_providers SET authed = false WHERE name = 'Weather'`)
  await client.end()
  const { id } = await api.must<Ided>(202, 'POST', `/profiles/${nightly.id}/trigger`)
  await ended(api, id)
  return nightly.id
}

async function list<T>(api: ApiClient, path: string): Promise<T[]> {
  return (await api.must<{ items: T[] }>(200, 'GET', path)).items
}

async function stateOf(api: ApiClient, syncId: string): Promise<string> {
  return (await api.must<Run>(200, 'GET', `/syncs/${syncId}`)).state
}

async function ended(api: ApiClient, syncId: string): Promise<void> {
  await until(async () => ENDED.has(await stateOf(api, syncId)))
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 180_000
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('the world of the pictures did not get ready in 180 s')
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}
