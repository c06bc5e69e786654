import type { Db } from './client.ts'
import type { Store } from './store.ts'
import { places } from './update-each.ts'

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
      const row = await tx.spaceLease.findUnique({ where: { spaceId } })
      if (row === null) {
        await tx.spaceLease.create({ data: { spaceId, holder, epoch: 1, until } })
        return 1
      }
      if (row.until > now && row.holder !== holder) return null
      const epoch = row.epoch + 1
      // The epoch in the condition: of two that steal at once, one wins.
      const taken = await tx.spaceLease.updateMany({
        where: { spaceId, epoch: row.epoch },
        data: { holder, epoch, until },
      })
      return taken.count === 1 ? epoch : null
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
  const until = new Date(now.getTime() + ttlMs)
  const renewed = await store.write(
    (tx) => tx.spaceLease.updateMany({ where: { spaceId, holder, epoch }, data: { until } }),
    { shared: true },
  )
  return renewed.count === 1
}

/** Lets the next holder in at once. The row stays, since its epoch must not start again. */
export async function releaseLease(store: Store, spaceId: string, holder: string, epoch: number): Promise<void> {
  await store.write(
    (tx) => tx.spaceLease.updateMany({ where: { spaceId, holder, epoch }, data: { until: new Date(0) } }),
    { shared: true },
  )
}

/** Whether this epoch is still the current one and its lease has not run out. */
export async function checkLease(
  store: Store,
  spaceId: string,
  epoch: number,
  now: Date = new Date(),
): Promise<boolean> {
  const row = await store.db.spaceLease.findUnique({ where: { spaceId } })
  return row !== null && row.epoch === epoch && row.until > now
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
  // By hand: it is asked before every write to a platform.
  const rows = await db.$queryRawUnsafe<{ spaceId: string; epoch: number; until: Date }[]>(
    `SELECT \`spaceId\`, \`epoch\`, \`until\` FROM \`SpaceLease\` WHERE \`spaceId\` IN (${places(spaceIds)})`,
    ...spaceIds,
  )
  const epochs = new Map(rows.flatMap(({ spaceId, epoch, until }) => (until > now ? [[spaceId, Number(epoch)]] : [])))
  return new Set(held.filter(({ spaceId, epoch }) => epochs.get(spaceId) !== epoch).map(({ spaceId }) => spaceId))
}

/**
 * Ends every lease. For a store that belongs to one process, at its start: whoever held one then is dead, and its successor
 * need not wait for the time to pass.
 */
export async function endAllLeases(store: Store): Promise<void> {
  await store.write((tx) => tx.spaceLease.updateMany({ data: { until: new Date(0) } }))
}
