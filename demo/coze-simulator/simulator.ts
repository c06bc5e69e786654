import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import { createAdminHandler } from './admin.ts'
import { createCallLog } from './call-log.ts'
import { systemClock } from './clock.ts'
import { createFaults } from './faults.ts'
import { type Front, isWrite, serve } from './front.ts'
import type { CozeSimulatorOptions } from './options.ts'
import { createPeople } from './people.ts'
import { loseSessions, openSession } from './sessions.ts'
import type { CozeSimulator } from './simulator-types.ts'
import { countByUrl, viewPlugin, viewSpace } from './views.ts'
import { createWorld } from './world.ts'

/** Starts a coze.cn on loopback (coze.md §6), with nobody in it. Rejects when a port is taken. */
export async function startCozeSimulator(options: CozeSimulatorOptions = {}): Promise<CozeSimulator> {
  const world = createWorld({ ...options, clock: options.clock ?? systemClock })
  const log = createCallLog(isWrite)
  const front: Front = { world, faults: createFaults(), log, listeners: new Set() }
  const api = await listen((request, response) => {
    serve(front, request, response).catch((error: unknown) => {
      // A client that went away is no fault of ours; anything else must be seen.
      if (request.destroyed && !request.complete) return
      console.error('COZE simulator:', error)
      response.destroy()
    })
  }, options.port ?? 0)
  world.origin = originOf(api)

  const simulator: Omit<CozeSimulator, 'adminOrigin' | 'stop'> = {
    ...createPeople(world),
    origin: world.origin,
    clock: world.clock,
    switches: world.switches,
    login: (userId, { ttlS } = {}) => {
      if (!world.users.has(userId)) throw new Error(`No user ${userId}.`)
      return openSession(world, userId, ttlS)
    },
    loseSession: (who, shape) => loseSessions(world, who, shape),
    route: (publicOrigin, realOrigin) => {
      if (realOrigin === null) world.routes.delete(publicOrigin)
      else world.routes.set(publicOrigin, realOrigin)
    },
    faults: { add: front.faults.add, clear: front.faults.clear },
    onCall: (listener) => {
      front.listeners.add(listener)
      return () => front.listeners.delete(listener)
    },
    plugins: (spaceId, { deleted = false } = {}) =>
      [...world.plugins.values()]
        .filter((plugin) => (spaceId === undefined || plugin.spaceId === spaceId) && (deleted || !plugin.deleted))
        .map((plugin) => viewPlugin(world, plugin)),
    plugin: (pluginId) => {
      const plugin = world.plugins.get(pluginId)
      if (plugin === undefined) throw new Error(`No plugin ${pluginId}.`)
      return viewPlugin(world, plugin)
    },
    spaces: () => [...world.spaces.values()].map(viewSpace),
    livePluginsByUrl: () => countByUrl(world),
    calls: log.calls,
    counts: log.counts,
    resetCalls: log.reset,
    load: log.load,
  }
  let admin: Server | null = null
  try {
    if (options.adminPort !== null) admin = await listen(createAdminHandler(simulator), options.adminPort ?? 0)
  } catch (error) {
    await close(api)
    throw error
  }
  return {
    ...simulator,
    adminOrigin: admin === null ? null : originOf(admin),
    stop: async () => {
      front.faults.clear()
      await Promise.all([close(api), ...(admin === null ? [] : [close(admin)])])
    },
  }
}

async function listen(handler: RequestListener, port: number): Promise<Server> {
  const server = createServer(handler)
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return server
}

async function close(server: Server): Promise<void> {
  if (!server.listening) return
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await closed
}

function originOf(server: Server): string {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The simulator has no port.')
  return `http://127.0.0.1:${address.port}`
}
