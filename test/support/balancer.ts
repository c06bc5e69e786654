import { once } from 'node:events'
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export type Balancer = { origin: string; stop: () => Promise<void> }

/**
 * The one address of an installation: MCP goes to its gateways, everything else to its API. No sticky sessions: every request goes
 * to the next process in turn, also within one session and over one kept connection. What a process does not answer is cut off
 * for its caller as well.
 */
export async function startBalancer(ports: { gateways: number[]; apis: number[] }): Promise<Balancer> {
  const turns = { gateways: 0, apis: 0 }
  const pass = (request: IncomingMessage, response: ServerResponse) => {
    const { method, url: path = '/', rawHeaders: headers } = request
    const role = path.startsWith('/mcp-gateway/') ? 'gateways' : 'apis'
    const port = ports[role][turns[role]++ % ports[role].length]
    const onward = httpRequest({ host: '127.0.0.1', port, method, path, headers, agent: false }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
      // The head of a stream that has nothing to say yet.
      response.flushHeaders()
      answer.on('error', () => response.destroy()).pipe(response)
    })
    onward.on('error', () => response.destroy())
    response.on('close', () => onward.destroy())
    request.pipe(onward)
  }
  const server = createServer(pass)
  // As a stream, a call may be long under way.
  server.requestTimeout = 0
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: async () => {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}
