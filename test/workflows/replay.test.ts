import { hostname } from 'node:os'
import { fileURLToPath } from 'node:url'
import { bundleWorkflowCode, Worker, type WorkflowBundle } from '@temporalio/worker'
import { DeterminismViolationError } from '@temporalio/workflow'
import { beforeAll, describe, expect, it } from 'vitest'
import { installTemporalLogger } from '../../src/temporal/worker.ts'
import { textOf } from '../support/histories.ts'
import { silentLogger } from '../support/logger.ts'
import { GOLDEN_RUNS } from './golden-runs.ts'
import { goldenHistories, type HistoryFile } from './history-file.ts'

/** Runs that are under way must survive a new version of the workflow: recorded histories are replayed by today's code. */

let workflowBundle: WorkflowBundle
const golden = goldenHistories()

beforeAll(async () => {
  installTemporalLogger(silentLogger)
  workflowBundle = await bundleWorkflowCode({
    workflowsPath: fileURLToPath(new URL('../../workflows/index.ts', import.meta.url)),
    logger: { log() {}, trace() {}, debug() {}, info() {}, warn() {}, error() {} },
  })
})

/** What replaying said, by name; null: it went as recorded. */
async function replay(histories: Iterable<[string, HistoryFile]>): Promise<Record<string, Error | null>> {
  const wanted = [...histories].map(([workflowId, history]) => ({ workflowId, history }))
  const verdicts: Record<string, Error | null> = {}
  for await (const { workflowId, error } of Worker.runReplayHistories({ workflowBundle }, wanted)) {
    verdicts[workflowId] = error ?? null
  }
  return verdicts
}

function altered(name: string, change: (history: HistoryFile) => void): HistoryFile {
  const history = structuredClone(golden.get(name))
  if (history === undefined) throw new Error(`there is no golden history ${name}`)
  change(history)
  return history
}

type Attributes = { activityType?: { name?: string } }

function scheduledEvent(history: HistoryFile, activity: string): Attributes {
  for (const event of history.events) {
    const attributes = event.activityTaskScheduledEventAttributes as Attributes | undefined
    if (attributes?.activityType?.name === activity) return attributes
  }
  throw new Error(`the history has no ${activity}`)
}

describe('the golden histories', () => {
  it('are there for every way that a run can go', () => {
    const names = new Set([...golden.keys()].map((name) => name.replace(/\.\d+$/, '')))
    expect([...names].sort()).toEqual(Object.keys(GOLDEN_RUNS).sort())
    expect(golden.has('continued-as-new.2')).toBe(true)
  })

  it('are replayed by the present code, all of them', async () => {
    const verdicts = await replay(golden)
    expect(verdicts).toEqual(Object.fromEntries([...golden.keys()].map((name) => [name, null])))
  })

  it('name no machine', () => {
    for (const [name, history] of golden) {
      const text = textOf(history)
      expect(text, name).not.toMatch(/file:\/\/|node_modules|\/(home|root|tmp|Users|usr)\//)
      expect(text.includes(hostname()), name).toBe(false)
      const identities = new Set(
        [...JSON.stringify(history).matchAll(/"identity":"([^"]*)"/g)].map((match) => match[1]),
      )
      expect([...identities], name).toEqual(['toolferry'])
    }
  })
})

describe('a history that the code would not have made is refused', () => {
  it('when an activity has another name', async () => {
    const history = altered('succeeded', (copy) => {
      scheduledEvent(copy, 'mintTokens').activityType = { name: 'coinTokens' }
    })
    expect((await replay([['renamed', history]])).renamed).toBeInstanceOf(DeterminismViolationError)
  })

  it('when a phase is missing', async () => {
    const history = altered('dry-run', (copy) => {
      // As if the run had gone on without planning one of its spaces.
      const dropped = copy.events.findLast((event) => {
        const attributes = event.activityTaskScheduledEventAttributes as Attributes | undefined
        return attributes?.activityType?.name === 'planSpace'
      })?.eventId
      expect(dropped).toBeTypeOf('number')
      const isOfIt = (event: Record<string, unknown>) =>
        event.eventId === dropped || Object.values(event).some((part) => scheduledBy(part) === dropped)
      const kept = copy.events.filter((event) => !isOfIt(event))
      expect(kept).toHaveLength(copy.events.length - 3)
      copy.events = renumbered(kept)
    })
    expect((await replay([['dropped', history]])).dropped).toBeInstanceOf(DeterminismViolationError)
  })

  it('and only then: renumbering alone changes nothing', async () => {
    const history = altered('dry-run', (copy) => {
      copy.events = renumbered(copy.events)
    })
    expect((await replay([['same', history]])).same).toBeNull()
  })
})

function scheduledBy(part: unknown): unknown {
  return typeof part === 'object' && part !== null && 'scheduledEventId' in part ? part.scheduledEventId : undefined
}

/** Events with ids without gaps, and what refers to them following. */
function renumbered(events: HistoryFile['events']): HistoryFile['events'] {
  const idOf = new Map(events.map((event, index) => [event.eventId, index + 1]))
  const references = ['eventId', 'scheduledEventId', 'startedEventId', 'workflowTaskCompletedEventId']
  const follow = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) => [key, references.includes(key) ? idOf.get(inner) : follow(inner)]),
    )
  }
  return events.map((event) => follow(event) as Record<string, unknown>)
}
