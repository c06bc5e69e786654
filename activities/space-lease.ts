import { setTimeout as sleep } from 'node:timers/promises'
import { ToolferryError } from '../src/domain/errors.ts'
import { acquireLease, holdsLease, releaseLease, renewLease } from '../src/store/leases.ts'
import type { Store } from '../src/store/store.ts'

export type SpaceLease = AsyncDisposable & {
  epoch: number
  /** Throws SpaceBusy when the lease is no longer ours. Called right before every write to a platform. */
  fence: () => Promise<void>
}

const POLL_MS = 500

/**
 * Takes the one-writer lease of a space and keeps it alive. Waits for another run up to `waitMs`, then SpaceBusy. A holder
 * that died is followed after `leaseMs`; the epoch tells it, should it wake, that its time is over.
 */
export async function takeSpaceLease(
  store: Store,
  spaceId: string,
  holder: string,
  options: { leaseMs: number; waitMs: number; signal: AbortSignal },
): Promise<SpaceLease> {
  const deadline = Date.now() + options.waitMs
  let epoch = await acquireLease(store, spaceId, holder, options.leaseMs)
  while (epoch === null) {
    if (Date.now() >= deadline) throw busy()
    await sleep(POLL_MS, undefined, { signal: options.signal })
    epoch = await acquireLease(store, spaceId, holder, options.leaseMs)
  }
  const held = epoch
  const renewal = setInterval(() => {
    // A renewal that fails leaves the lease to run out; the fence before the next write then says so.
    renewLease(store, spaceId, holder, held, options.leaseMs).catch(() => false)
  }, options.leaseMs / 3)
  return {
    epoch: held,
    fence: async () => {
      if (!(await holdsLease(store, spaceId, held))) throw busy()
    },
    [Symbol.asyncDispose]: async () => {
      clearInterval(renewal)
      await releaseLease(store, spaceId, holder, held)
    },
  }
}

function busy(): ToolferryError {
  return new ToolferryError('SpaceBusy', 'Another run is writing to this space.')
}
