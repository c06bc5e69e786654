import { randomBytes } from 'node:crypto'
import { emptyCounts, type TargetState } from '../../src/domain/states.ts'
import { newIds } from '../../src/store/columns.ts'
import { createInstances } from '../../src/store/instances.ts'
import { createPlatform } from '../../src/store/platforms.ts'
import { allSpaces, upsertSpaces } from '../../src/store/spaces.ts'
import type { Store } from '../../src/store/store.ts'

const CHUNK = 400
/** Most succeed, one in twenty fails, one in ten was right already. */
const STATES: TargetState[] = Array.from({ length: 20 }, (_, index) =>
  index === 7 ? 'failed' : index % 10 === 3 ? 'unchanged' : 'succeeded',
)

/** Writes a run that has ended, with a target for each of `instances` × `spaces`; answers its id. No platform and no MCP server is behind it. */
export async function addLargeRun(store: Store, instances: number, spaces: number): Promise<string> {
  const platform = await createPlatform(store, {
    kind: 'dify',
    name: 'Large Dify',
    remoteKey: randomBytes(32).toString('hex'),
    settings: { edition: 'community', database: { host: '127.0.0.1' } },
    credential: { password: 'none' },
  })
  const number = (index: number) => String(index + 1).padStart(3, '0')
  await upsertSpaces(
    store,
    platform.id,
    Array.from({ length: spaces }, (_, index) => ({
      remoteId: `space-${number(index)}`,
      name: `Workspace ${number(index)}`,
      ownerName: null,
      ownerEmail: null,
      role: null,
      archived: false,
      problem: null,
    })),
  )
  const kept = await allSpaces(store, platform.id)
  const servers = await createInstances(
    store,
    Array.from({ length: instances }, (_, index) => ({
      name: `mcp server ${number(index)}`,
      transport: 'streamable-http' as const,
      url: `http://127.0.0.1:1/${index}`,
    })),
  )
  const cells = kept.flatMap((space) => servers.map((server) => ({ spaceId: space.id, instanceId: server.id })))
  const [syncId = ''] = newIds(1)
  const finishedAt = new Date()
  const startedAt = new Date(finishedAt.getTime() - cells.length * 20)
  const counts = { ...emptyCounts(), total: cells.length }
  const stateOf = (index: number) => STATES[index % STATES.length] ?? 'succeeded'
  for (const index of cells.keys()) counts[stateOf(index)] += 1
  await store.write((tx) =>
    tx.sync.create({
      data: {
        id: syncId,
        platformId: platform.id,
        name: 'Large run',
        action: 'sync',
        state: 'partial',
        phase: 'done',
        selection: JSON.stringify({ instanceIds: servers.map(({ id }) => id), spaceIds: 'all' }),
        writePolicy: 'upsert-only',
        workflowId: `sync-${syncId}`,
        counts: JSON.stringify(counts),
        warnings: '[]',
        requestedBy: 'bench',
        createdAt: startedAt,
        startedAt,
        finishedAt,
      },
    }),
  )
  const ids = newIds(cells.length)
  for (let from = 0; from < cells.length; from += CHUNK) {
    await store.write((tx) =>
      tx.syncTarget.createMany({
        data: cells.slice(from, from + CHUNK).map((cell, offset) => {
          const state = stateOf(from + offset)
          const failed = state === 'failed'
          return {
            id: ids[from + offset] ?? '',
            syncId,
            ...cell,
            action: state === 'unchanged' ? 'unchanged' : 'create',
            state,
            changes: '[]',
            attempts: failed ? 5 : 1,
            errorType: failed ? 'Unavailable' : null,
            errorMessage: failed ? 'The database did not answer.' : null,
            startedAt,
            finishedAt,
            updatedAt: finishedAt,
          }
        }),
      }),
    )
  }
  return syncId
}
