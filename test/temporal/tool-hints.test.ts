import { afterAll, beforeAll, expect, it } from 'vitest'
import { newId } from '../../src/domain/ids.ts'
import { hintTools, listToolHints } from '../../src/store/tool-hints.ts'
import { followHints, runToolHints } from '../../src/temporal/tool-hints.ts'
import { TOOL_WATCH_WORKFLOW, toolHintWorkflowId } from '../../workflows/messages.ts'
import { ENGINES, openTestStore, type TestStore } from '../store/test-store.ts'
import { silentLogger } from '../support/logger.ts'
import { startTestTemporal, type TestTemporal } from '../support/temporal.ts'

/** Servers that said that their tools have changed, and the looks at them, on a real Temporal server. No worker: what was started stays. */

const TASK_QUEUE = 'nobody'

let temporal: TestTemporal
const stores = new Map<(typeof ENGINES)[number], TestStore>()
beforeAll(async () => {
  temporal = await startTestTemporal()
  for (const engine of ENGINES) stores.set(engine, await openTestStore(engine))
})
afterAll(async () => {
  await temporal?.stop()
  for (const store of stores.values()) await store.close()
})

const link = () => ({ client: temporal.client, searchAttributes: true })
const end = (instanceId: string) => temporal.client.workflow.getHandle(toolHintWorkflowId(instanceId)).terminate()

it.each(ENGINES)('each gets one look of its own, and one more for what it says meanwhile, on %s', async (engine) => {
  const { store } = stores.get(engine) ?? {}
  if (store === undefined) throw new Error('no store')
  const [first, second] = [newId(), newId()]
  const hinted = async () => (await listToolHints(store, 10)).map(({ instanceId }) => instanceId)
  await hintTools(store, first, new Date('2026-01-01T00:00:00.001Z'))
  await hintTools(store, second, new Date('2026-01-01T00:00:00.002Z'))
  await hintTools(store, second, new Date('2026-01-01T00:00:00.003Z'))
  expect(await hinted()).toEqual([first, second])
  expect(await followHints(store, link(), TASK_QUEUE)).toBe(2)
  expect(await hinted()).toEqual([])
  const look = await temporal.client.workflow.getHandle(toolHintWorkflowId(second)).describe()
  expect(look.type).toBe(TOOL_WATCH_WORKFLOW)

  // While it is being looked at, what it says waits.
  await hintTools(store, second)
  expect(await followHints(store, link(), TASK_QUEUE)).toBe(0)
  expect(await hinted()).toEqual([second])
  await end(second)
  expect(await followHints(store, link(), TASK_QUEUE)).toBe(1)
  expect(await hinted()).toEqual([])
})

it('wait while Temporal is away, and are followed when it is back', async () => {
  const { store } = stores.get('sqlite') ?? {}
  if (store === undefined) throw new Error('no store')
  const instanceId = newId()
  await hintTools(store, instanceId)
  const stop = new AbortController()
  let looks = 0
  const running = runToolHints({
    store,
    link: () => {
      looks += 1
      return looks < 3 ? null : link()
    },
    taskQueue: TASK_QUEUE,
    logger: silentLogger,
    signal: stop.signal,
    intervalMs: 20,
  })
  await expect.poll(() => listToolHints(store, 10), { timeout: 60_000 }).toEqual([])
  stop.abort()
  await running
  expect(looks).toBeGreaterThanOrEqual(3)
  expect((await temporal.client.workflow.getHandle(toolHintWorkflowId(instanceId)).describe()).status.name).toBe(
    'RUNNING',
  )
})
