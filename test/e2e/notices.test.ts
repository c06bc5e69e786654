import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Cluster, startCluster } from '../support/cluster.ts'
import { createDifyDatabase, type DifyTestDatabase } from '../support/dify-database.ts'
import { captureHistories, textOf } from '../support/histories.ts'
import { freePort } from '../support/mcp-servers.ts'
import { finished } from '../support/product.ts'
import { type Receiver, startReceiver, verifies } from '../support/webhook-receiver.ts'

/** A run that fails is told to a webhook that fails, hangs and sends elsewhere at first, while workers die. On MariaDB, in the production shape. */

let cluster: Cluster
let dify: DifyTestDatabase
let receiver: Receiver
let elsewhere: Receiver
beforeAll(async () => {
  ;[receiver, elsewhere, dify] = await Promise.all([startReceiver(), startReceiver(), createDifyDatabase()])
  await dify.addWorkspace({ name: 'Sales' })
  cluster = await startCluster({ env: { TOOLFERRY_WORKER_TIMEOUT_SECONDS: '5' } })
})
afterAll(async () => {
  await cluster?.stop()
  await receiver?.close()
  await elsewhere?.close()
  await dify?.drop()
})

type WebhookBody = { id: string; secret: string; origin: string }
type DeliveryBody = {
  id: string
  event: string
  state: string
  attempts: number
  lastStatus: number | null
  lastError: string | null
}

const deliveriesOf = async ({ id }: WebhookBody) =>
  (await cluster.must<{ items: DeliveryBody[] }>(200, 'GET', `/webhooks/${id}/deliveries`)).items

it('is delivered in the end, signed, with one id, and its secrets are nowhere', async () => {
  const webhook = await cluster.must<WebhookBody>(201, 'POST', '/webhooks', {
    name: 'ops',
    url: `${receiver.origin}/canary-path/hook?key=canary-query`,
    events: ['sync.failed', 'sync.partial'],
    botSecret: 'canary-bot-secret',
  })
  const chat = await cluster.must<WebhookBody>(201, 'POST', '/webhooks', {
    name: 'chat',
    url: `${elsewhere.origin}/canary-chat`,
    template: 'feishu',
    language: 'zh',
  })
  elsewhere.answer = (response) => response.end('{"code":0,"msg":"success"}')
  receiver.answer = (response, nth) => {
    if (nth === 0) response.writeHead(500).end('busy')
    else if (nth === 1) response.writeHead(302, { location: `${elsewhere.origin}/stolen` }).end()
    else if (nth > 2) response.writeHead(204).end()
    // The third hangs.
  }

  const platform = await cluster.must<{ id: string }>(201, 'POST', '/platforms', {
    kind: 'dify',
    name: 'Our Dify',
    edition: 'community',
    database: { ...dify.connection, password: 'canary-password', tls: 'disable' },
  })
  await cluster.must(200, 'GET', `/platforms/${platform.id}/spaces?refresh=true`)
  // An MCP server that is not there: the run cannot but fail.
  const instance = await cluster.must<{ id: string }>(201, 'POST', '/instances', {
    name: 'Nobody',
    transport: 'streamable-http',
    url: `http://127.0.0.1:${await freePort()}/mcp`,
  })
  const run = await cluster.must<{ id: string }>(202, 'POST', '/syncs', {
    platformId: platform.id,
    instanceIds: [instance.id],
    spaceIds: 'all',
    acceptWarnings: true,
  })
  expect((await finished(cluster, run.id)).state).toBe('failed')

  // The attempt that hangs is cut off with its worker.
  await receiver.until(3)
  await cluster.killWorkers()
  await cluster.startWorkers()
  await receiver.until(4)
  await expect.poll(async () => (await deliveriesOf(webhook))[0]?.state, { timeout: 180_000 }).toBe('delivered')

  const ids = new Set(receiver.received.map(({ headers }) => headers['webhook-id']))
  expect(ids.size).toBe(1)
  for (const message of receiver.received) {
    expect(message.path).toBe('/canary-path/hook?key=canary-query')
    expect(verifies(message, webhook.secret)).toBe(true)
    expect(verifies(message, chat.secret)).toBe(false)
  }
  const last = receiver.received.at(-1)
  expect(JSON.parse(last?.body ?? '')).toMatchObject({
    type: 'sync.failed',
    data: { syncId: run.id, platformName: 'Our Dify' },
  })
  expect(await deliveriesOf(webhook)).toMatchObject([
    { id: [...ids][0], event: 'sync.failed', state: 'delivered', lastStatus: 204, lastError: null },
  ])
  expect((await deliveriesOf(webhook))[0]?.attempts).toBeGreaterThanOrEqual(4)

  // The other webhook got its own, in its own form, and nothing of the first one's redirect.
  await expect.poll(async () => (await deliveriesOf(chat))[0]?.state, { timeout: 180_000 }).toBe('delivered')
  expect(elsewhere.received.map(({ path }) => path)).toEqual(['/canary-chat'])
  expect(JSON.parse(elsewhere.received[0]?.body ?? '').card.header.title.content).toBe('Toolferry：同步失败')

  const histories = await captureHistories(cluster.temporalAddress)
  expect(histories.map(({ workflowId }) => workflowId)).toContain(`notify-${[...ids][0]}`)
  // The answer that showed the secrets is the only place that may have them.
  const answers = cluster.answers().filter((answer) => !answer.startsWith('POST /webhooks '))
  const shown = [cluster.output(), ...answers, ...histories.map(textOf)].join('\n')
  const secrets = ['canary-', webhook.secret, chat.secret, webhook.secret.slice('whsec_'.length)]
  expect(secrets.filter((secret) => shown.includes(secret))).toEqual([])
}, 300_000)
