import { Server } from 'node:net'

/**
 * Loaded into every child of the demo (--import). Some MCP servers listen on all interfaces and outlive who started
 * them: here they listen on loopback only, and end (SIGTERM, so that they can tidy up) when the demo is gone, however it
 * went: the IPC channel to it closes.
 */

const listen = Server.prototype.listen

function listenOnLoopback(this: Server, ...args: unknown[]): Server {
  const [first, ...rest] = args
  const isPort = typeof first === 'number' || (typeof first === 'string' && /^\d+$/.test(first))
  const namesHost = typeof rest[0] === 'string'
  const local = isPort && !namesHost ? [{ port: Number(first), host: '127.0.0.1' }, ...rest] : args
  return Reflect.apply(listen, this, local) as Server
}
Server.prototype.listen = listenOnLoopback as typeof listen

process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'))
// Watching must not be what keeps the child alive.
process.channel?.unref()
