import { once } from 'node:events'
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export type Balancer = { origin: string; stop: () => Promise<void> }

/**
 * A load balancer without sticky sessions: every request goes to the next process in turn, also within one session and over one
 * kept connection. What a process does not answer is cut off for its caller as well.
 */
export async function startBalancer(ports: number[]): Promise<Balancer> {
  let turn = 0
  const pass = (request: IncomingMessage, response: ServerResponse) => {
    const port = ports[turn % ports.length]
    turn += 1
    const { method, url: path, rawHeaders: headers } = request
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
