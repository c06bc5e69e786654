import { once } from 'node:events'
import type { Server } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { fetch, request } from 'undici'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createEgressAgent } from '../../src/egress/connector.ts'
import type { CheckedAddress, EgressPolicyOptions } from '../../src/egress/policy.ts'
import { createEgressPolicy } from '../../src/egress/policy.ts'

let server: Server
let port: number
let hosts: (string | undefined)[]

beforeEach(async () => {
  hosts = []
  server = createServer((incoming, response) => {
    hosts.push(incoming.headers.host)
    if (incoming.url === '/redirect') response.writeHead(302, { location: `http://127.0.0.1:${port}/target` })
    response.end('hello')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  port = (server.address() as AddressInfo).port
})

afterEach(async () => {
  server.closeAllConnections()
  server.close()
  await once(server, 'close')
})

function agentFor(changes: Partial<EgressPolicyOptions>) {
  const policy = createEgressPolicy({ allow: [], deny: [], loopbackAllowed: true, ownPorts: new Set(), ...changes })
  return createEgressAgent(policy)
}

const LOOPBACK: CheckedAddress = { address: '127.0.0.1', family: 4 }

describe('the egress agent', () => {
  test('connects to the address that was checked, asks for it once a connection, and keeps the name', async () => {
    const asked: string[] = []
    await using agent = disposable(
      agentFor({
        resolve: async (host) => {
          asked.push(host)
          return [LOOPBACK]
        },
      }),
    )
    const answer = await request(`http://mcp.example.com:${port}/`, { dispatcher: agent.agent })
    expect(await answer.body.text()).toBe('hello')
    // The name belongs to nobody's DNS here, so a second, unchecked look-up could not have answered.
    expect(asked).toEqual(['mcp.example.com'])
    expect(hosts).toEqual([`mcp.example.com:${port}`])
  })

  test('DNS rebinding: a name that is public when saved and loopback afterwards is refused at connect', async () => {
    const answers: CheckedAddress[] = [{ address: '93.184.216.34', family: 4 }, LOOPBACK]
    const policy = createEgressPolicy({
      allow: [],
      deny: [],
      loopbackAllowed: false,
      ownPorts: new Set(),
      resolve: async () => [answers.shift() ?? LOOPBACK],
    })
    const url = `http://rebind.example:${port}/`
    await policy.checkUrlAddresses(url)
    await using agent = disposable(createEgressAgent(policy))
    await expect(request(url, { dispatcher: agent.agent })).rejects.toMatchObject({ type: 'InvalidDesiredState' })
    expect(hosts).toEqual([])
  })

  test('DNS rebinding: an answer that changes right after the check is not asked for', async () => {
    const answers: CheckedAddress[] = [LOOPBACK]
    await using agent = disposable(
      agentFor({ resolve: async () => [answers.shift() ?? { address: '169.254.169.254', family: 4 }] }),
    )
    const answer = await request(`http://rebind.example:${port}/`, { dispatcher: agent.agent })
    expect(answer.statusCode).toBe(200)
    await answer.body.dump()
    expect(answers).toEqual([])
  })

  test('falls back to the next checked address', async () => {
    await using agent = disposable(agentFor({ resolve: async () => [{ address: '::1', family: 6 }, LOOPBACK] }))
    const answer = await request(`http://two.example:${port}/`, { dispatcher: agent.agent })
    expect(await answer.body.text()).toBe('hello')
  })

  test.each(['127.0.0.1', '[::ffff:127.0.0.1]', '2130706433', 'localhost'])(
    'refuses an own port at connect: %s',
    async (host) => {
      await using agent = disposable(agentFor({ ownPorts: new Set([port]) }))
      await expect(request(`http://${host}:${port}/`, { dispatcher: agent.agent })).rejects.toMatchObject({
        type: 'InvalidDesiredState',
      })
      expect(hosts).toEqual([])
    },
  )

  test('a port that becomes our own is refused from the next connection on', async () => {
    const ownPorts = new Set<number>()
    await using agent = disposable(agentFor({ ownPorts }))
    const url = `http://127.0.0.1:${port}/`
    await (await request(url, { dispatcher: agent.agent, reset: true })).body.dump()
    ownPorts.add(port)
    await expect(request(url, { dispatcher: agent.agent })).rejects.toMatchObject({ type: 'InvalidDesiredState' })
  })

  test('refuses metadata at connect, also over https', async () => {
    await using agent = disposable(agentFor({ resolve: async () => [{ address: 'fd00:ec2::254', family: 6 }] }))
    for (const url of ['https://innocent.example/', 'http://169.254.169.254/', 'https://[fe80::1]/']) {
      await expect(request(url, { dispatcher: agent.agent })).rejects.toMatchObject({ type: 'InvalidDesiredState' })
    }
  })

  test('TLS asks for the name, not for the address', async () => {
    const names: string[] = []
    // Without a certificate the handshake fails, but only after the name was told.
    const tls = createTlsServer({
      SNICallback: (name, done) => {
        names.push(name)
        done(new Error('no certificate here'))
      },
    })
    tls.on('tlsClientError', () => {})
    tls.listen(0, '127.0.0.1')
    await once(tls, 'listening')
    const tlsPort = (tls.address() as AddressInfo).port
    await using agent = disposable(agentFor({ resolve: async () => [LOOPBACK] }))
    await expect(request(`https://mcp.example.com:${tlsPort}/`, { dispatcher: agent.agent })).rejects.toThrow()
    expect(names).toEqual(['mcp.example.com'])
    tls.close()
    await once(tls, 'close')
  })

  test('fetch carries the refusal as its cause', async () => {
    await using agent = disposable(agentFor({ ownPorts: new Set([port]) }))
    await expect(fetch(`http://127.0.0.1:${port}/`, { dispatcher: agent.agent })).rejects.toMatchObject({
      cause: { type: 'InvalidDesiredState' },
    })
  })

  test('does not follow redirects', async () => {
    await using agent = disposable(agentFor({}))
    const answer = await request(`http://127.0.0.1:${port}/redirect`, { dispatcher: agent.agent })
    expect(answer.statusCode).toBe(302)
    await answer.body.dump()
    expect(hosts).toHaveLength(1)
  })
})

function disposable(agent: ReturnType<typeof createEgressAgent>) {
  return { agent, [Symbol.asyncDispose]: () => agent.destroy() }
}
