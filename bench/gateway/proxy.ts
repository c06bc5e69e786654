import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net'
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { proxy } from 'hono/proxy'

/** `node proxy.ts <kind> <upstream origin>`: one of the proxies that Toolferry is compared with, as its README says to use it. */
const [, , kind = '', upstream = ''] = process.argv
const require = createRequire(import.meta.url)

const say = (port: number) => process.stdout.write(`PORT ${port}\n`)
const listen = (handler: RequestListener) => {
  const server = createServer(handler).listen(0, '127.0.0.1', () => say((server.address() as AddressInfo).port))
  server.keepAliveTimeout = 120_000
}

switch (kind) {
  // No proxy: bytes go through unread. What it adds is what two sockets cost in Node, the least that any proxy can.
  case 'tcp-pipe': {
    const { hostname, port } = new URL(upstream)
    const server = createTcpServer({ noDelay: true }, (client) => {
      const onward = connect({ host: hostname, port: Number(port), noDelay: true })
      for (const [from, to] of [
        [client, onward],
        [onward, client],
      ] as const) {
        from.on('data', (chunk) => void to.write(chunk))
        from.on('error', () => to.destroy())
        from.on('close', () => to.destroy())
      }
    }).listen(0, '127.0.0.1', () => say((server.address() as AddressInfo).port))
    break
  }
  case 'http-proxy': {
    const { Agent } = await import('node:http')
    const { createProxyServer } = require('http-proxy') as {
      createProxyServer(options: object): { web(req: IncomingMessage, res: ServerResponse): void }
    }
    const made = createProxyServer({ target: upstream, agent: new Agent({ keepAlive: true, maxSockets: 2_048 }) })
    listen((req, res) => made.web(req, res))
    break
  }
  case 'fast-proxy': {
    const make = require('fast-proxy') as (options: object) => {
      proxy(req: IncomingMessage, res: ServerResponse, url: string, options: object): void
    }
    const made = make({ base: upstream, undici: { connections: 2_048, pipelining: 1, bodyTimeout: 0 } })
    listen((req, res) => made.proxy(req, res, req.url ?? '/', {}))
    break
  }
  case 'reply-from': {
    const fastify = (await import('fastify')).default({ logger: false, bodyLimit: 16 * 1024 * 1024 })
    const replyFrom = (await import('@fastify/reply-from')).default
    fastify.register(replyFrom, { base: upstream, undici: { connections: 2_048, pipelining: 1, bodyTimeout: 0 } })
    // The body is passed on as it comes, as @fastify/http-proxy does.
    fastify.removeAllContentTypeParsers()
    fastify.addContentTypeParser('*', (_request, payload, done) => done(null, payload))
    fastify.all('/*', (request, reply) => void reply.from(request.url))
    await fastify.listen({ port: 0, host: '127.0.0.1' })
    say((fastify.server.address() as AddressInfo).port)
    break
  }
  case 'hono': {
    const app = new Hono()
    app.all('*', (c) => {
      const { pathname, search } = new URL(c.req.url)
      return proxy(`${upstream}${pathname}${search}`, { ...c.req })
    })
    serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) => say(port))
    break
  }
  default:
    throw new Error(`unknown proxy: ${kind}`)
}
