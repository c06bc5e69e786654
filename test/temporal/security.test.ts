import { execFile, execFileSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer as createHttp2Server, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import { type AddressInfo, connect, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer as createTlsServer } from 'node:tls'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connectClient, connectWorker } from '../../src/temporal/connection.ts'
import { startTestTemporal, type TestTemporal } from '../support/temporal.ts'

const noTls = { enabled: false, serverName: null, caPath: null, certPath: null, keyPath: null }

let dir: string
const closers: (() => Promise<unknown>)[] = []
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'toolferry-tls-'))
  closers.push(() => rm(dir, { recursive: true, force: true }))
})
afterAll(async () => {
  for (const close of closers.reverse()) await close()
})

async function listen(server: Server): Promise<string> {
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

describe('a cluster that wants TLS and a client certificate', () => {
  let temporal: TestTemporal
  let address: string
  const path = (name: string) => join(dir, name)

  /** A key and a certificate `name`, signed by the CA (or by itself, for the CA). */
  async function certificate(name: string, subject: string, isCa: boolean): Promise<void> {
    const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' })
    const newKey = ['-newkey', 'rsa:2048', '-nodes', '-keyout', `${name}.key`, '-subj', `/CN=${subject}`]
    if (isCa) {
      openssl('req', '-x509', '-days', '2', ...newKey, '-out', `${name}.pem`)
      return
    }
    openssl('req', ...newKey, '-out', `${name}.csr`)
    await writeFile(path(`${name}.ext`), `subjectAltName=DNS:${subject}\n`)
    const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-extfile', `${name}.ext`]
    openssl('x509', '-req', '-days', '2', '-in', `${name}.csr`, ...signed, '-out', `${name}.pem`)
  }

  beforeAll(async () => {
    await certificate('ca', 'Test CA', true)
    await certificate('server', 'temporal.test', false)
    await certificate('client', 'toolferry', false)
    temporal = await startTestTemporal()
    closers.push(() => temporal.stop())
    // A real server behind a TLS end, as a cluster's load balancer is one.
    const [host, port] = temporal.address.split(':')
    const front = createTlsServer(
      {
        key: await readFile(path('server.key')),
        cert: await readFile(path('server.pem')),
        ca: await readFile(path('ca.pem')),
        requestCert: true,
        rejectUnauthorized: true,
        ALPNProtocols: ['h2'],
      },
      (socket) => {
        const upstream = connect({ host, port: Number(port) })
        socket.on('error', () => upstream.destroy()).on('close', () => upstream.destroy())
        upstream.on('error', () => socket.destroy()).on('close', () => socket.destroy())
        socket.pipe(upstream).pipe(socket)
      },
    )
    address = await listen(front)
    closers.push(() => new Promise((done) => front.close(done)))
  })

  const tls = () => ({
    enabled: true,
    serverName: 'temporal.test',
    caPath: path('ca.pem'),
    certPath: path('client.pem'),
    keyPath: path('client.key'),
  })

  it('is reached by clients and workers with the files given', async () => {
    const options = { address, namespace: temporal.namespace, tls: tls() }
    const { connection } = await connectClient(options)
    await connection.close()
    const worker = await connectWorker(options)
    expect((await worker.workflowService.getSystemInfo({})).serverVersion).toMatch(/^1\./)
    await worker.close()
  })

  it('is reached by a worker that trusts its CA as Node.js does, on a system that knows no authority', async () => {
    const options = { address, namespace: temporal.namespace, tls: { ...tls(), caPath: null } }
    const connection = new URL('../../src/temporal/connection.ts', import.meta.url).href
    const script = `
      const { connectWorker } = await import(${JSON.stringify(connection)})
      const worker = await connectWorker(${JSON.stringify(options)})
      console.log((await worker.workflowService.getSystemInfo({})).serverVersion)
      await worker.close()`
    const none = { SSL_CERT_FILE: path('none.pem'), SSL_CERT_DIR: path('none') }
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
      env: { ...none, NODE_EXTRA_CA_CERTS: path('ca.pem') },
    })
    expect(stdout).toMatch(/^1\./)
  })

  it.each([
    ['without our certificate', { certPath: null, keyPath: null }],
    ['when its certificate is signed by a CA we were not told of', { caPath: null }],
    ['when its certificate is for another name', { serverName: 'other.test' }],
  ])('is not reached %s', async (_, change) => {
    const options = { address, namespace: temporal.namespace, timeoutMs: 1_500, tls: { ...tls(), ...change } }
    await expect(connectClient(options)).rejects.toMatchObject({
      type: 'Unavailable',
      message: expect.stringContaining(address),
    })
  })
})

describe('a cluster that wants an API key', () => {
  it('is sent the key, and its refusal names the variable and not the key', async () => {
    // What a cluster answers to a wrong key: gRPC status 16 in a trailers-only response.
    const sent = new Set<string | undefined>()
    const sessions = new Set<ServerHttp2Session>()
    const refusing = createHttp2Server()
    refusing.on('session', (session) => sessions.add(session))
    refusing.on('stream', (stream: ServerHttp2Stream, headers) => {
      sent.add(headers.authorization)
      stream.respond(
        { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '16', 'grpc-message': 'no canary-key-2' },
        { endStream: true },
      )
    })
    const address = await listen(refusing)
    closers.push(async () => {
      for (const session of sessions) session.destroy()
      await new Promise((done) => refusing.close(done))
    })
    const error = await connectClient({ address, namespace: 'team', tls: noTls, apiKey: 'canary-key-2' }).catch(
      (thrown) => thrown,
    )
    expect(error).toMatchObject({
      type: 'CredentialRefused',
      message: expect.stringMatching(new RegExp(`${address} refused.*"team".*TEMPORAL_API_KEY`)),
    })
    expect(error.message).not.toContain('canary-key-2')
    expect([...sent]).toEqual(['Bearer canary-key-2'])
  })
})
