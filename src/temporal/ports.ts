import { createServer, type Server } from 'node:net'

/** `count` different ports of `host` that nobody listens on now. Another process may still take one: retry on a clash. */
export async function freePorts(host: string, count: number): Promise<number[]> {
  const servers: Server[] = []
  try {
    const ports: number[] = []
    for (let n = 0; n < count; n++) {
      const server = createServer()
      servers.push(server)
      ports.push(await listen(server, host, 0))
    }
    return ports
  } finally {
    await Promise.all(servers.map((server) => new Promise((done) => server.close(done))))
  }
}

/** Whether a server can listen there now. */
export async function isPortFree(host: string, port: number): Promise<boolean> {
  const server = createServer()
  try {
    await listen(server, host, port)
    return true
  } catch {
    return false
  } finally {
    await new Promise((done) => server.close(done))
  }
}

function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port, exclusive: true }, () => {
      const address = server.address()
      resolve(typeof address === 'object' && address !== null ? address.port : port)
    })
  })
}
