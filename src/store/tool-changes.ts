import { chunksOf } from './columns.ts'
import type { DeploymentRecord } from './deployments.ts'
import type { Store } from './store.ts'

/** The drift of deployments whose MCP server offers other tools than they were given: stands beside what else has drifted. */

export const UPSTREAM_TOOLS = 'upstream-tools'

type Seen = Pick<DeploymentRecord, 'bindingId' | 'state' | 'driftFields' | 'driftSince' | 'updatedAt'>

/** Since when is kept. What a run has changed meanwhile is left: the next look judges it anew. */
export async function markToolsChanged(store: Store, seen: readonly Seen[], now: Date = new Date()): Promise<void> {
  const fresh = seen.filter(({ driftFields }) => !driftFields.includes(UPSTREAM_TOOLS))
  await change(store, fresh, ({ state, driftFields, driftSince }) => ({
    driftFields: JSON.stringify([...driftFields, UPSTREAM_TOOLS]),
    driftSince: driftSince ?? now,
    ...(state === 'in_sync' ? { state: 'drifted' } : {}),
  }))
}

/** The tools are again as they were deployed. */
export async function clearToolsChanged(store: Store, seen: readonly Seen[]): Promise<void> {
  const marked = seen.filter(({ driftFields }) => driftFields.includes(UPSTREAM_TOOLS))
  await change(store, marked, ({ state, driftFields }) => {
    const left = driftFields.filter((field) => field !== UPSTREAM_TOOLS)
    if (left.length > 0) return { driftFields: JSON.stringify(left) }
    return { driftFields: null, driftSince: null, ...(state === 'drifted' ? { state: 'in_sync' } : {}) }
  })
}

type Columns = { driftFields: string | null; driftSince?: Date | null; state?: string }

async function change(store: Store, seen: readonly Seen[], columnsOf: (one: Seen) => Columns): Promise<void> {
  for (const chunk of chunksOf(seen)) {
    await store.write(async (tx) => {
      const updatedAt = new Date()
      for (const one of chunk) {
        await tx.deployment.updateMany({
          where: { bindingId: one.bindingId, updatedAt: one.updatedAt },
          data: { ...columnsOf(one), updatedAt },
        })
      }
    })
  }
}
