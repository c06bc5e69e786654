import { startCozeSimulator } from '../../demo/coze-simulator/simulator.ts'
import type { CozeSimulator } from '../../demo/coze-simulator/simulator-types.ts'
import { addForeign } from '../platforms/dify/harness.ts'
import { createDifyDatabase, type TestWorkspace } from './dify-database.ts'
import type { Engine } from './dify-shapes.ts'
import { finished, type Product, type SyncBody, type TargetBody, targetsOf } from './product.ts'

/** Agent platforms of every kind behind one face: what stands in their two spaces, and what people do there by hand. */

export type KeptObject = { id: string; key: string | null; name: string; url: string; authorization: string }

export type KeptPlatform = {
  label: string
  id: string
  /** The store's ids of its two spaces, A and B. */
  spaceIds: [string, string]
  /** Everything that stands in a space, by name. */
  objects(space: 0 | 1): Promise<KeptObject[]>
  /** Somebody's own object that calls `url`; answers its id. */
  addForeign(space: 0 | 1, object: { name: string; url: string }): Promise<string>
  deleteByHand(id: string): Promise<void>
  /** From now on every deletion there is refused, until the answer is called. */
  refuseDeletions(): Promise<() => Promise<void>>
  /** All writes so far, comparable: the same means that nothing was written since. */
  writes(): Promise<unknown>
  stop(): Promise<void>
}

export async function addDify(product: Product, engine: Engine): Promise<KeptPlatform> {
  const dify = await createDifyDatabase({ engine, password: 'Kept-Pass-1' })
  const label = `Dify on ${engine}`
  const workspaces = [await dify.addWorkspace({ name: `${label} A` }), await dify.addWorkspace({ name: `${label} B` })]
  const { id } = await product.must<{ id: string }>(201, 'POST', '/platforms', {
    kind: 'dify',
    name: label,
    edition: 'community',
    database: { ...dify.connection, password: 'Kept-Pass-1', tls: 'disable' },
  })
  const at = (space: 0 | 1) => workspaces[space] as TestWorkspace
  return {
    label,
    id,
    spaceIds: await spacesOf(
      product,
      id,
      workspaces.map((workspace) => workspace.tenantId),
    ),
    async objects(space) {
      const keys = new Map((await dify.rows(at(space).tenantId)).map((row) => [row.id, row.server_identifier]))
      return (await dify.checkRows(at(space))).map(({ id: rowId, name, url, headers }) => ({
        id: rowId,
        key: keys.get(rowId) ?? null,
        name,
        url,
        authorization: headers.Authorization ?? '',
      }))
    },
    addForeign: (space, object) => addForeign(dify, at(space), object),
    async deleteByHand(rowId) {
      await dify.query('DELETE FROM tool_mcp_providers WHERE id = $1', [rowId])
    },
    async refuseDeletions() {
      const renamed = (identifier: string) => `x${identifier.slice(1)}`
      const before = await dify.rows()
      const set = (id: string, identifier: string) =>
        dify.query('UPDATE tool_mcp_providers SET server_identifier = $1 WHERE id = $2', [identifier, id])
      for (const row of before) await set(row.id, renamed(row.server_identifier))
      return async () => {
        for (const row of before) await set(row.id, row.server_identifier)
      }
    },
    writes: () => dify.query('SELECT id, updated_at FROM tool_mcp_providers ORDER BY id'),
    stop: () => dify.drop(),
  }
}

export async function addCoze(product: Product): Promise<KeptPlatform & { coze: CozeSimulator }> {
  // The product's address by either of its names: a gateway may move from one to the other.
  const origins = [product.origin, product.origin.replace('127.0.0.1', 'localhost')]
  const coze = await startCozeSimulator({ adminPort: null, allowInsecureOrigins: origins })
  const zhang = coze.addAccount({ name: '张三' })
  const remote = ['A', 'B'].map((name) => coze.addSpace({ ownerId: zhang.userId, name: `COZE ${name}` }))
  const { id } = await product.must<{ id: string }>(201, 'POST', '/platforms', {
    kind: 'coze',
    name: 'COZE',
    baseUrl: coze.origin,
    accountType: 'personal',
    cookie: zhang.cookie,
  })
  return {
    label: 'COZE',
    id,
    coze,
    spaceIds: await spacesOf(product, id, remote),
    async objects(space) {
      return coze
        .plugins(remote[space])
        .map(({ pluginId, online, draft, agentHeaders }) => ({
          id: pluginId,
          key: null,
          name: (online ?? draft).meta.name,
          url: (online ?? draft).meta.url,
          authorization: agentHeaders?.find(({ name }) => name === 'Authorization')?.value ?? '',
        }))
        .sort((a, b) => (a.name < b.name ? -1 : 1))
    },
    async addForeign(space, { name, url }) {
      const creatorId = zhang.userId
      return coze.addForeignPlugin({ spaceId: remote[space] ?? '', creatorId, name, url, pluginType: 11, tools: ['x'] })
    },
    async deleteByHand(pluginId) {
      coze.deletePlugin(pluginId)
    },
    async refuseDeletions() {
      for (const { pluginId } of coze.plugins()) coze.setBotQuote(pluginId, 2)
      return async () => {
        for (const { pluginId } of coze.plugins()) coze.setBotQuote(pluginId, 0)
      }
    },
    writes: async () => coze.calls({ writes: true }).length,
    stop: () => coze.stop(),
  }
}

/** A run that was started by POST /syncs, with its targets at its end. */
export async function run(
  product: Product,
  body: Record<string, unknown>,
): Promise<{ run: SyncBody & { warnings: string[] }; targets: TargetBody[] }> {
  const { id } = await product.must<{ id: string }>(202, 'POST', '/syncs', { acceptWarnings: true, ...body })
  return await ended(product, id)
}

export async function ended(
  product: Product,
  id: string,
): Promise<{ run: SyncBody & { warnings: string[] }; targets: TargetBody[] }> {
  const sync = (await finished(product, id)) as SyncBody & { warnings: string[] }
  return { run: sync, targets: await targetsOf(product, id) }
}

async function spacesOf(product: Product, platformId: string, remoteIds: string[]): Promise<[string, string]> {
  const { items } = await product.must<{ items: { id: string; remoteId: string }[] }>(
    200,
    'GET',
    `/platforms/${platformId}/spaces?refresh=true`,
  )
  const [a, b] = remoteIds.map((remoteId) => items.find((space) => space.remoteId === remoteId)?.id ?? '')
  return [a ?? '', b ?? '']
}
