import type { Store } from './store.ts'

/** MCP servers that said that their tools have changed: to be asked soon, rather than with the next look of the watch. */

export type ToolHint = { instanceId: string; at: Date }

/** Noted once however often it is said; the last time counts. */
export async function hintTools(store: Store, instanceId: string, at: Date = new Date()): Promise<void> {
  await store.write((tx) => tx.toolHint.upsert({ where: { instanceId }, create: { instanceId, at }, update: { at } }), {
    retryUnique: true,
  })
}

/** The oldest first. */
export async function listToolHints(store: Pick<Store, 'db'>, limit: number): Promise<ToolHint[]> {
  return await store.db.toolHint.findMany({ orderBy: { at: 'asc' }, take: limit })
}

/** It is being looked at. What was said after the hint was read stays. */
export async function clearToolHint(store: Store, { instanceId, at }: ToolHint): Promise<void> {
  await store.write((tx) => tx.toolHint.deleteMany({ where: { instanceId, at: { lte: at } } }))
}
