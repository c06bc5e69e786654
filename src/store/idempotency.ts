import { createHash } from 'node:crypto'
import type { Db, Tx } from './client.ts'
import { IdempotencyKeyReusedError } from './errors.ts'
import type { Store } from './store.ts'

/** An Idempotency-Key belongs to the API key that sent it. `requestHash`: a digest of the request's body, hex. */
export type Idempotency = { apiKeyId: string; key: string; requestHash: string }

/** The id of what this key made before, or null. Throws IdempotencyKeyReusedError when it was for another request. */
export async function findIdempotent(db: Pick<Db, 'idempotencyKey'>, idempotency: Idempotency): Promise<string | null> {
  const row = await db.idempotencyKey.findUnique({ where: { id: rowId(idempotency) } })
  if (row === null) return null
  if (row.requestHash !== idempotency.requestHash) throw new IdempotencyKeyReusedError()
  return row.syncId
}

/** `madeId`: the sync, or the manual token. */
export async function rememberIdempotent(tx: Tx, idempotency: Idempotency, madeId: string): Promise<void> {
  await tx.idempotencyKey.create({
    data: { id: rowId(idempotency), requestHash: idempotency.requestHash, syncId: madeId, createdAt: new Date() },
  })
}

/** Forgets keys older than `before`. */
export async function purgeIdempotencyKeys(store: Store, before: Date): Promise<number> {
  return (await store.write((tx) => tx.idempotencyKey.deleteMany({ where: { createdAt: { lt: before } } }))).count
}

function rowId(idempotency: Idempotency): string {
  return createHash('sha256').update(`${idempotency.apiKeyId}\n${idempotency.key}`).digest('hex')
}
