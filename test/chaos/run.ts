import { setTimeout as sleep } from 'node:timers/promises'
import { access, agreement, cellsOf, lastWords, leaks, stuck, tokens } from './invariants.ts'
import { describeFault, FAULT_KINDS, type FaultKind, planFaults, type Size } from './plan.ts'
import { createStriker } from './strike.ts'
import { type ChaosWorld, startChaosWorld } from './world.ts'

export type ChaosOptions = {
  seed: number
  faults: number
  size: Size
  print: (line: string) => void
  /** Aborted: no further fault; what was started is stopped. */
  signal?: AbortSignal
}

export type ChaosResult = {
  struck: Record<FaultKind, number>
  /** Runs by their final state. */
  runs: Record<string, number>
  cells: number
  violations: string[]
}

/** From the last fault until every run has ended. */
const RUNS_END_MS = 300_000
const SETTLED_MS = 40_000

/**
 * Faults of every kind, in the order of the seed, while runs are going on; then what must hold is looked at: as the chaos left
 * it, after a sync of everything, and after everybody was enabled and synced once more. The faults follow from the seed, what
 * they meet does not: that is the machine's.
 */
export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const { seed, size, print } = options
  const startedAt = Date.now()
  const say = (text: string) => print(`${((Date.now() - startedAt) / 1000).toFixed(1).padStart(6)} s  ${text}`)
  print(`chaos: seed ${seed}, ${options.faults} faults; again with --seed ${seed} --faults ${options.faults}`)
  const faults = planFaults(seed, options.faults, size)
  const world = await startChaosWorld(size)
  const keeper = keepCookie(world, say)
  try {
    say('two of each role, Temporal, Dify and COZE are up')
    const striker = createStriker(world)
    const struck = Object.fromEntries(FAULT_KINDS.map((kind) => [kind, 0])) as Record<FaultKind, number>
    for (const [index, fault] of faults.entries()) {
      await sleep(fault.gapMs, undefined, options.signal === undefined ? {} : { signal: options.signal })
      say(`${String(index + 1).padStart(3)} ${fault.kind}: ${describeFault(fault)}`)
      await striker.strike(fault)
      struck[fault.kind] += 1
    }
    await striker.heal()
    say('healed; every run must end by itself')

    const violations: string[] = []
    const look = async (when: string, wrong: string[] | Promise<string[]>) => {
      for (const text of await wrong) {
        violations.push(`${when}: ${text}`)
        say(`VIOLATED ${when}: ${text}`)
      }
    }
    await untilOver(world, RUNS_END_MS)
    await look(
      'after the chaos',
      untilHolds(() => stuck(world)),
    )
    await look('after the chaos', lastWords(world))
    say('all runs are over; everything is synced')
    await look('after a sync', syncAll(world))
    await look('after a sync', agreement(world))
    await look('after a sync', access(world))
    await look('after a sync', lastWords(world))
    say('everybody is enabled and synced')
    await enableAll(world)
    await look('at the end', syncAll(world))
    await look(
      'at the end',
      untilHolds(() => stuck(world)),
    )
    await look('at the end', agreement(world))
    await look('at the end', access(world))
    await look('at the end', tokens(world))
    await look('at the end', leaks(world, [...striker.tokens, ...keeper.cookies()]))
    const cells = await cellsOf(world)
    const outOfSync = cells.filter(({ state, enabled }) => state !== 'in_sync' || !enabled)
    await look(
      'at the end',
      outOfSync.map(({ bindingId, state }) => `the binding ${bindingId} is ${state}`),
    )
    const ended = await world.cluster.store.query('SELECT state, COUNT(*) AS count FROM Sync GROUP BY state')
    const runs = Object.fromEntries(ended.map(({ state, count }) => [String(state), Number(count)]))
    say(`runs: ${JSON.stringify(runs)}; ${cells.length} cells`)
    return { struck, runs, cells: cells.length, violations }
  } finally {
    try {
      await keeper.stop()
    } finally {
      await world.stop()
    }
  }
}

async function untilOver(world: ChaosWorld, timeoutMs: number): Promise<void> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const open = await world.cluster.store.query('SELECT id FROM Sync WHERE finishedAt IS NULL')
    // Those that are not over by then are told by the look at what is stuck.
    if (open.length === 0 || Date.now() > deadline) return
    await sleep(250)
  }
}

/** What must hold soon: a lease runs out, a workflow closes after its run has. */
async function untilHolds(look: () => Promise<string[]>): Promise<string[]> {
  const deadline = Date.now() + SETTLED_MS
  for (;;) {
    const wrong = await look()
    if (wrong.length === 0 || Date.now() > deadline) return wrong
    await sleep(500)
  }
}

/** A sync of everything on every platform, undisturbed: it succeeds. */
async function syncAll(world: ChaosWorld): Promise<string[]> {
  const started = await Promise.all(
    Object.values(world.platforms).map(({ id, spaces }) =>
      world.admin.must<{ id: string }>('POST', '/syncs', {
        platformId: id,
        instanceIds: world.instanceIds,
        spaceIds: spaces.map((space) => space.id),
        acceptWarnings: true,
      }),
    ),
  )
  await untilOver(world, RUNS_END_MS)
  const ids = started.map(({ id }) => id)
  const wrong: string[] = []
  for (const run of await world.cluster.store.query('SELECT id, state, errorMessage FROM Sync WHERE id IN (?)', [
    ids,
  ])) {
    if (run.state !== 'succeeded') wrong.push(`an undisturbed sync is ${run.state} ${run.errorMessage ?? ''}`)
  }
  const targets = await world.cluster.store.query(
    `SELECT state, errorType, errorMessage FROM SyncTarget WHERE syncId IN (?) AND state IN ('failed', 'conflict')`,
    [ids],
  )
  for (const { state, errorType, errorMessage } of targets) wrong.push(`${state}: ${errorType} ${errorMessage}`)
  return wrong
}

async function enableAll(world: ChaosWorld): Promise<void> {
  for (const { spaces } of Object.values(world.platforms)) {
    for (const { id } of spaces) await world.admin.must('POST', `/spaces/${id}/enable`, {})
  }
}

/** Somebody who gives COZE's cookie anew whenever it is not taken any more, as the product asks for it. */
function keepCookie(world: ChaosWorld, say: (text: string) => void) {
  const { id } = world.platforms.coze
  const cookies = [world.cozeAccount.cookie]
  let on = true
  const watching = (async () => {
    while (on) {
      await sleep(500)
      const platform = await world.admin.must<{ credentialState: string }>('GET', `/platforms/${id}`)
      if (platform.credentialState !== 'expired' && platform.credentialState !== 'refused') continue
      const cookie = world.coze.login(world.cozeAccount.userId)
      cookies.push(cookie)
      const given = await world.admin.ask('PUT', `/platforms/${id}/credential`, { cookie })
      say(`    the cookie was ${platform.credentialState}; a new one: ${given.status}`)
    }
  })()
  // Told by stop(), not as an unhandled rejection meanwhile.
  watching.catch(() => undefined)
  return {
    cookies: () => cookies.flatMap((cookie) => /sessionid=([^;]+)/.exec(cookie)?.[1] ?? []),
    stop: async () => {
      on = false
      await watching
    },
  }
}
