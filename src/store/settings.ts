import type { Db, Tx } from './client.ts'
import type { Write } from './transaction.ts'

/** The installation's own values. */

export async function getSetting(db: Db, name: string): Promise<string | null> {
  return (await db.setting.findUnique({ where: { name } }))?.value ?? null
}

export async function setSetting(store: { write: Write }, name: string, value: string): Promise<void> {
  await store.write((tx) => setSettingIn(tx, name, value))
}

/** As setSetting, together with what it goes with. */
export async function setSettingIn(tx: Tx, name: string, value: string): Promise<void> {
  const updatedAt = new Date()
  await tx.setting.upsert({ where: { name }, create: { name, value, updatedAt }, update: { value, updatedAt } })
}

/** The value that stands there afterwards: somebody else's, if it was first. */
export async function putSettingIfAbsent(store: { write: Write }, name: string, value: string): Promise<string> {
  return store.write(
    async (tx) => {
      const existing = await tx.setting.findUnique({ where: { name } })
      if (existing !== null) return existing.value
      await tx.setting.create({ data: { name, value, updatedAt: new Date() } })
      return value
    },
    { retryUnique: true },
  )
}
