import type { Socket } from 'node:net'
import type { ClientRequest, ClientResponse } from './client.ts'
import { DirectConnection, type DirectOwner } from './direct-connection.ts'

export type FrontDoorOptions = {
  /** Which request targets are for `handle`; the others go to node:http. */
  takes(target: string): boolean
  handle(req: ClientRequest, res: ClientResponse): void
  /** To node:http, with nothing of it read. */
  handOver(socket: Socket): void
  /** For the first request of a connection; ms. */
  headersTimeoutMs: number
  /** Between two requests; ms. */
  keepAliveMs: number
}

/** Takes the connections of a listener, and reads those of the gateway's clients itself: node:http is most of what a call costs. */
export type FrontDoor = {
  accept(socket: Socket): void
  /** Ends what is idle; the rest ends behind its answers. */
  close(): void
  /** Ends what is left. */
  destroy(): void
}

export function createFrontDoor(options: FrontDoorOptions): FrontDoor {
  const connections = new Set<DirectConnection>()
  let isClosing = false
  const owner: DirectOwner = {
    ...options,
    isClosing: () => isClosing,
    onClosed: (connection) => connections.delete(connection),
  }
  const sweeper = setInterval(() => {
    const nowMs = performance.now()
    for (const connection of connections) connection.expire(nowMs)
  }, options.headersTimeoutMs / 3).unref()
  return {
    accept(socket) {
      connections.add(new DirectConnection(socket, owner))
    },
    close() {
      isClosing = true
      for (const connection of connections) connection.closeIdle()
    },
    destroy() {
      clearInterval(sweeper)
      for (const connection of connections) connection.destroy()
    },
  }
}
