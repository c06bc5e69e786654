import { ToolferryError } from '../../../src/domain/errors.ts'
import type { Platform, SpaceRef } from '../../../src/platforms/platform.ts'
import { type RunCell, syncCells } from './cell.ts'
import type { CozeWorld } from './world.ts'

const ATTEMPTS = 8

/**
 * Does what a run of the product does when it fails: tries again what may help, gives a new cookie where it waits for one.
 * Answers the types of the errors on the way, the last being what a person would be left with; empty when all went well.
 */
export async function settle(
  world: CozeWorld,
  space: SpaceRef,
  cells: readonly RunCell[],
  first: Platform,
): Promise<{ met: string[]; ended: 'right' | 'failed' }> {
  const met: string[] = []
  let platform = first
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    try {
      const results = await syncCells(platform, space, cells)
      const bad = results.filter(({ action, drift }) => action === null || action === 'conflict' || drift.length > 0)
      for (const { failure, drift } of bad) met.push(failure?.type ?? `drift ${drift}`)
      return { met, ended: bad.length === 0 ? 'right' : 'failed' }
    } catch (error) {
      if (!(error instanceof ToolferryError)) throw error
      met.push(error.type)
      if (error.facts.waitsForCredential) platform = world.open({ cookie: world.simulator.login(world.account.userId) })
      else if (!error.facts.retryable) return { met, ended: 'failed' }
      // As the activity waits before it tries again.
      world.clock.advance(error.retryAfterMs ?? 5_000)
    }
  }
  return { met, ended: 'failed' }
}

/** What must hold when a run has ended right: one live plugin, published as desired, nothing left over. */
export function standing(world: CozeWorld, space: SpaceRef) {
  const plugins = world.simulator.plugins(space.remoteId)
  return plugins.map(({ published, status, agentHeaders, online, lock }) => ({
    published,
    changedSince: status,
    authorization: agentHeaders?.find((header) => header.name === 'Authorization')?.value,
    tools: online?.tools.length,
    locked: lock !== null && lock.untilMs > world.clock.nowMs() && lock.userId === world.account.userId,
  }))
}
