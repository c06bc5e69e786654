import { afterAll, beforeAll, expect, it } from 'vitest'
import type { CredentialWatchWorkflow } from '../../workflows/credential-watch.ts'
import { CREDENTIAL_WATCH_WORKFLOW } from '../../workflows/messages.ts'
import { createScript, refuse } from './scripted-activities.ts'
import { startTemporalWorld, TASK_QUEUE, type TemporalWorld } from './temporal-world.ts'

let world: TemporalWorld
beforeAll(async () => {
  world = await startTemporalWorld()
})
afterAll(async () => {
  await world?.close()
})

async function start(workflowId: string, script = createScript(workflowId)) {
  world.scripts.set(workflowId, script)
  return await world.temporal.client.workflow.start<typeof CredentialWatchWorkflow>(CREDENTIAL_WATCH_WORKFLOW, {
    workflowId,
    taskQueue: TASK_QUEUE,
    args: [],
  })
}

it('is one activity, and counts are all that it hands over', async () => {
  const handle = await start('watch')
  expect(await handle.result()).toEqual({ valid: 1, ended: 0, unknown: 0, warned: 0 })
  const { events } = await handle.fetchHistory()
  const scheduled = (events ?? []).flatMap((event) => event.activityTaskScheduledEventAttributes ?? [])
  expect(scheduled.map(({ activityType, input }) => [activityType?.name, input?.payloads ?? []])).toEqual([
    ['watchCredentials', []],
  ])
})

it('fails by itself when the store refuses for good: the schedule’s next run asks again', async () => {
  const script = createScript('watch-fails', {}, { watchCredentials: () => refuse('InvalidDesiredState') })
  const handle = await start('watch-fails', script)
  await expect(handle.result()).rejects.toThrow()
  expect(script.calls.map(({ name, attempt }) => [name, attempt])).toEqual([['watchCredentials', 1]])
})
