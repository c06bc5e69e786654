import { isLiveMcp } from './plugin-life.ts'
import type { PluginView, SpaceView, ToolView } from './simulator-types.ts'
import type { Plugin, Space, Tool, World } from './world.ts'
import { copyPairs, lockHolder } from './world.ts'

/** What a test or the admin view sees: copies, so that looking never changes anything. */
export function viewPlugin(world: World, plugin: Plugin): PluginView {
  const { online } = plugin
  const inForce = world.switches.headerChange === 'at-once' ? plugin.meta : online?.meta
  return structuredClone({
    pluginId: plugin.pluginId,
    spaceId: plugin.spaceId,
    creatorId: plugin.creatorId,
    pluginType: plugin.pluginType,
    editVersion: plugin.editVersion,
    deleted: plugin.deleted,
    published: online !== null,
    status: plugin.changed,
    draft: { meta: plugin.meta, tools: plugin.tools.map(viewTool) },
    online:
      online === null
        ? null
        : {
            meta: online.meta,
            tools: online.tools.map(viewTool),
            versionName: online.versionName,
            versionTs: online.versionTs,
          },
    history: plugin.history.map(({ versionName, versionDesc, versionTs, publisherId }) => ({
      versionName,
      versionDesc,
      versionTs,
      publisherId,
    })),
    agentHeaders: online === null || inForce === undefined ? null : copyPairs(inForce.commonParams[4]),
    lock: lockHolder(world, plugin) === null ? null : plugin.lock,
    botQuote: plugin.botQuote,
    productStatus: plugin.productStatus,
    createdMs: plugin.createdMs,
    updatedMs: plugin.updatedMs,
    foreign: plugin.foreign,
  })
}

export function viewSpace(space: Space): SpaceView {
  const { spaceId, name, spaceType, enterpriseId, organizationId, ownerId } = space
  return { spaceId, name, spaceType, enterpriseId, organizationId, ownerId, roles: Object.fromEntries(space.roles) }
}

/** `<spaceId> <URL path>` → how many live MCP plugins have it. */
export function countByUrl(world: World): Map<string, number> {
  const counts = new Map<string, number>()
  for (const plugin of world.plugins.values()) {
    if (!isLiveMcp(plugin) || !URL.canParse(plugin.meta.url)) continue
    const key = `${plugin.spaceId} ${new URL(plugin.meta.url).pathname}`
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  return counts
}

function viewTool({ apiId, name, desc, inputSchema, disabled, debugStatus }: Tool): ToolView {
  return { apiId, name, desc, inputSchema, disabled, debugStatus }
}
