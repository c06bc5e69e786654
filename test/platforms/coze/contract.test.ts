import { type ContractWorld, describePlatformContract } from '../contract.ts'
import { desiredObject, instanceId, openCozeWorld, TOOLS } from './world.ts'

const openWorld = async (): Promise<ContractWorld> => {
  const world = await openCozeWorld()
  const ids = new Map(['a', 'b', 'c'].map((letter, index) => [letter, instanceId(index + 1)]))
  let names = 0
  return {
    openPlatform: () => world.open(),
    addSpace: async () => {
      names += 1
      const spaceId = world.simulator.addSpace({ ownerId: world.account.userId, name: `空间 ${names}` })
      const live = () => world.simulator.plugins(spaceId)
      return {
        ref: { spaceId: `space-${names}`, remoteId: spaceId },
        snapshot: async () => structuredClone(live()),
        count: async () => live().length,
        addForeign: async (url, name = 'Weather_a') =>
          world.simulator.addForeignPlugin({ spaceId, name, pluginType: 11, url, tools: ['other'] }),
        has: async (remoteId) => live().some((plugin) => plugin.pluginId === remoteId),
        deleteBehindOurBack: async (remoteId) => world.simulator.deletePlugin(remoteId),
      }
    },
    desired: (change) => {
      const id = ids.get(change.instanceId) ?? change.instanceId
      const { tools, ...rest } = change
      // COZE takes no plugin without tools; another set of them serves as well.
      const given = tools?.length === 0 ? TOOLS.slice(0, 1) : (tools ?? TOOLS)
      // What the MCP server offers is what COZE will read.
      world.offer(given)
      return desiredObject({ ...rest, instanceId: id, name: `Weather_${change.instanceId}`, tools: given })
    },
    close: () => world.close(),
  }
}

describePlatformContract('COZE', openWorld, { locksSpaces: false })
