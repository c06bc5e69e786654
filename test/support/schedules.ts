import { Client, Connection } from '@temporalio/client'
import { expect } from 'vitest'

/** Starts the one schedule whose id begins so, as ops do in the Temporal Web UI, and waits for the end of its run. Answers its result. */
export async function triggerSchedule<T>(temporalAddress: string, prefix: string): Promise<T> {
  const connection = await Connection.connect({ address: temporalAddress })
  try {
    const client = new Client({ connection })
    let scheduleId = ''
    const find = async () => {
      for await (const summary of client.schedule.list()) {
        if (summary.scheduleId.startsWith(prefix)) scheduleId = summary.scheduleId
      }
      return scheduleId
    }
    await expect.poll(find, { timeout: 60_000 }).not.toBe('')
    const handle = client.schedule.getHandle(scheduleId)
    const actions = async () => (await handle.describe()).info.recentActions
    const before = (await actions()).length === 0 ? '' : JSON.stringify((await actions()).at(-1)?.action)
    await handle.trigger()
    let workflowId = ''
    await expect
      .poll(
        async () => {
          const last = (await actions()).at(-1)?.action
          if (last === undefined || JSON.stringify(last) === before) return ''
          workflowId = last.workflow.workflowId
          return workflowId
        },
        { timeout: 60_000 },
      )
      .not.toBe('')
    return (await client.workflow.getHandle(workflowId).result()) as T
  } finally {
    await connection.close()
  }
}
