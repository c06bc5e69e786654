import type { Db } from './client.ts'
import { insertRowsIn } from './insert-rows.ts'
import type { Store } from './store.ts'

/** One writer a space: a lease with an epoch that only grows, so a holder that woke too late can be told apart. */

/** The new epoch, or null while another holder's lease runs. The same holder takes its own lease anew, with a new epoch. */
export async function acquireLease(
  store: Store,
  spaceId: string,
  holder: string,
  ttlMs: number,
  now: Date = new Date(),
): Promise<number | null> {
  const until = new Date(now.getTime() + ttlMs)
  return store.write(
    async (tx) => {
      const [row] = await tx.findRows('SpaceLease', { spaceId })
      if (row === undefined) {
        await insertRowsIn(tx, 'SpaceLease', [{ spaceId, holder, epoch: 1, until }])
        return 1
      }
      if (row.until > now && row.holder !== holder) return null
      const epoch = row.epoch + 1
      // The epoch in the condition: of two that steal at once, one wins.
      const taken = await tx.$executeRawUnsafe(
        'UPDATE `SpaceLease` SET `holder` = ?, `epoch` = ?, `until` = ? WHERE `spaceId` = ? AND `epoch` = ?',
        ...[holder, epoch, until, spaceId, row.epoch],
      )
      return taken === 1 ? epoch : null
    },
    { retryUnique: true, shared: true },
  )
}

/** False when the lease has passed to somebody else or was released; then nothing more may be written. */
export async function renewLease(
  store: Store,
  spaceId: string,
  holder: string,
  epoch: number,
  ttlMs: number,
  now: Date = new Date(),
): Promise<boolean> {
  return await setUntil(store, { spaceId, holder, epoch }, new Date(now.getTime() + ttlMs))
}

/** Lets the next holder in at once. The row stays, since its epoch must not start again. */
export async function releaseLease(store: Store, spaceId: string, holder: string, epoch: number): Promise<void> {
  await setUntil(store, { spaceId, holder, epoch }, new Date(0))
}

async function setUntil(
  store: Store,
  { spaceId, holder, epoch }: { spaceId: string; holder: string; epoch: number },
  until: Date,
): Promise<boolean> {
  const sql = 'UPDATE `SpaceLease` SET `until` = ? WHERE `spaceId` = ? AND `holder` = ? AND `epoch` = ?'
  const changed = await store.write((tx) => tx.$executeRawUnsafe(sql, until, spaceId, holder, epoch), { shared: true })
  return changed === 1
}

/** Whether this epoch is still the current one and its lease has not run out. */
export async function checkLease(
  store: Store,
  spaceId: string,
  epoch: number,
  now: Date = new Date(),
): Promise<boolean> {
  return (await lostLeases(store.db, [{ spaceId, epoch }], now)).size === 0
}

type Asking = { spaceId: string; epoch: number; answer: (held: boolean) => void; failed: (error: unknown) => void }
const asking = new WeakMap<Store, Asking[]>()

/** As checkLease, for the spaces of this process that ask at the same time in one reading, made after all of them asked. */
export function holdsLease(store: Store, spaceId: string, epoch: number): Promise<boolean> {
  return new Promise((answer, failed) => {
    const one = { spaceId, epoch, answer, failed }
    const others = asking.get(store)
    if (others !== undefined) return void others.push(one)
    const all = [one]
    asking.set(store, all)
    setImmediate(() => {
      asking.delete(store)
      lostLeases(store.db, all).then(
        (lost) => {
          for (const { spaceId, answer } of all) answer(!lost.has(spaceId))
        },
        (error: unknown) => {
          for (const { failed } of all) failed(error)
        },
      )
    })
  })
}

/** Which of these leases have passed to somebody else or run out: what their holders record no longer counts. */
export async function lostLeases(
  db: Db,
  held: readonly { spaceId: string; epoch: number }[],
  now: Date = new Date(),
): Promise<Set<string>> {
  const spaceIds = [...new Set(held.map(({ spaceId }) => spaceId))]
  const rows = await db.findRows('SpaceLease', { spaceId: spaceIds }, { columns: ['spaceId', 'epoch', 'until'] })
  const epochs = new Map(rows.flatMap(({ spaceId, epoch, until }) => (until > now ? [[spaceId, epoch]] : [])))
  return new Set(held.filter(({ spaceId, epoch }) => epochs.get(spaceId) !== epoch).map(({ spaceId }) => spaceId))
}

/**
 * Ends every lease. For a store that belongs to one process, at its start: whoever held one then is dead, and its successor
 * need not wait for the time to pass.
 */
export async function endAllLeases(store: Store): Promise<void> {
  await store.write((tx) => tx.spaceLease.updateMany({ data: { until: new Date(0) } }))
}
