import type { Db, Tx } from './client.ts'
import type { Store } from './store.ts'
import { afterCommit } from './transaction.ts'

/** The counter that orders what the gateway must see. */

/** Its only row. */
export const REVISION_ROW = 1

const revisionOf = new WeakMap<Tx, number>()

/**
 * The next revision; one for each transaction, however often it asks. Call it first in the transaction: the counter's row
 * stays locked until the commit, so revisions become visible in their order and a reader that asks for "> last seen"
 * misses nothing.
 */
export async function bumpRevision(store: Pick<Store, 'emit'>, tx: Tx): Promise<number> {
  const own = revisionOf.get(tx)
  if (own !== undefined) return own
  await tx.$executeRawUnsafe('UPDATE `Revision` SET `value` = `value` + 1 WHERE `id` = ?', REVISION_ROW)
  const revision = await currentRevision(tx)
  revisionOf.set(tx, revision)
  afterCommit(tx, () => store.emit.revision(revision))
  return revision
}

export async function currentRevision(db: Db): Promise<number> {
  const [row] = await db.findRows('Revision', { id: REVISION_ROW })
  if (row === undefined) throw new Error('the Revision row is missing: the database was not made by our migrations')
  return row.value
}
