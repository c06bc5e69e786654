import { afterAll, beforeAll, expect, it } from 'vitest'
import { postNotice } from '../../src/store/deliveries.ts'
import { createWebhook } from '../../src/store/webhooks.ts'
import { handOver } from '../../src/temporal/notifier.ts'
import { NOTIFY_WORKFLOW, notifyWorkflowId } from '../../workflows/messages.ts'
import { openTestStore, type TestStore } from '../store/test-store.ts'
import { textOf } from '../support/histories.ts'
import { createScript, gate, type Replies, refuse } from './scripted-activities.ts'
import { startTemporalWorld, TASK_QUEUE, type TemporalWorld } from './temporal-world.ts'

let world: TemporalWorld
let test: TestStore
beforeAll(async () => {
  ;[world, test] = await Promise.all([startTemporalWorld(), openTestStore()])
})
afterAll(async () => {
  await world?.close()
  await test?.close()
})

const start = (deliveryId: string, replies: Replies = {}) =>
  world.startOther(NOTIFY_WORKFLOW, notifyWorkflowId(deliveryId), [{ deliveryId }], replies)

const called = (script: ReturnType<typeof createScript>) =>
  script.calls.map(({ name, attempt }) => `${name} ${attempt}`)

it('tries again what another attempt may mend', async () => {
  const { handle, script } = await start('again', {
    deliverNotice: (_, nth) => (nth < 3 ? refuse('Unavailable', 'The webhook answered 500.') : undefined),
  })
  expect(await handle.result()).toEqual({ state: 'delivered' })
  expect(called(script)).toEqual(['deliverNotice 1', 'deliverNotice 2', 'deliverNotice 3'])
})

it('gives up for good when nothing can help', async () => {
  const { handle, script } = await start('over', { deliverNotice: () => refuse('InvalidDesiredState') })
  expect(await handle.result()).toEqual({ state: 'failed' })
  expect(called(script)).toEqual(['deliverNotice 1', 'giveUpNotice 1'])
})

it('cancelled by hand, it is given up: nobody starts it again', async () => {
  const held = gate()
  const { handle, script } = await start('cancelled', {
    deliverNotice: async () => {
      await held.pass()
      return undefined
    },
  })
  await script.until((calls) => calls.length === 1)
  await handle.cancel()
  await expect(handle.result()).rejects.toThrow()
  expect(called(script)).toEqual(['deliverNotice 1', 'giveUpNotice 1'])
})

it('is started from the outbox, once for each delivery, by however many workers', async () => {
  await createWebhook(test.store, {
    name: 'ops',
    url: 'https://hooks.test/canary-url',
    events: 'all',
    template: null,
    language: null,
    botSecret: 'canary-bot',
    enabled: true,
    signingSecret: 'whsec_Y2FuYXJ5LXNlY3JldA==',
  })
  const post = (key: string) =>
    test.store.write((tx) =>
      postNotice(tx, key, {
        type: 'credential.expired',
        data: { platformId: 'p', platformName: 'canary-name', platformKind: 'coze', expiresAt: null },
      }),
    )
  await post('one')
  await post('two')
  const ids = (await test.store.db.webhookDelivery.findMany({ orderBy: { id: 'asc' } })).map(({ id }) => id)
  for (const id of ids) world.scripts.set(notifyWorkflowId(id), createScript(id))
  const link = { client: world.temporal.client, searchAttributes: true }
  // Two workers at the same time.
  const counts = await Promise.all([handOver(test.store, link, TASK_QUEUE), handOver(test.store, link, TASK_QUEUE)])
  expect(Math.max(...counts)).toBe(2)
  expect(await handOver(test.store, link, TASK_QUEUE)).toBe(0)
  for (const id of ids) {
    const handle = world.temporal.client.workflow.getHandle(notifyWorkflowId(id))
    expect(await handle.result()).toEqual({ state: 'delivered' })
    // Ids and words of our own are all that a history holds.
    const text = textOf(JSON.parse(JSON.stringify(await handle.fetchHistory())))
    expect(text).toContain(id)
    expect(text).not.toContain('canary')
  }
})
