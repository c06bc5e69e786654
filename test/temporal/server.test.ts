import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { connectClient, type TemporalClient } from '../../src/temporal/connection.ts'
import { findSurvivor, pidFilePath } from '../../src/temporal/pid-file.ts'
import { commandLine, processStart } from '../../src/temporal/process-facts.ts'
import { type EmbeddedServer, type ServerExit, startEmbeddedServer } from '../../src/temporal/server.ts'
import { serverLogPath } from '../../src/temporal/server-process.ts'
import { silentLogger } from '../support/logger.ts'

const NAMESPACE = 'toolferry-test'
const DAY_SECONDS = 24 * 60 * 60

let dataDir: string
const closers: (() => Promise<unknown>)[] = []

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'toolferry-temporal-'))
})
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
  await rm(dataDir, { recursive: true, force: true })
})

async function start(change: Partial<Parameters<typeof startEmbeddedServer>[0]> = {}): Promise<EmbeddedServer> {
  const server = await startEmbeddedServer({
    dataDir,
    host: '127.0.0.1',
    port: 0,
    uiPort: 0,
    namespace: NAMESPACE,
    logger: silentLogger,
    onProgress: () => undefined,
    ...change,
  })
  closers.push(() => server.stop())
  return server
}

async function connect(address: string): Promise<TemporalClient> {
  const connected = await connectClient({ address, namespace: NAMESPACE })
  closers.push(() => connected.connection.close())
  return connected
}

async function startWorkflow(address: string, workflowId: string): Promise<void> {
  const { client } = await connect(address)
  await client.workflow.start('Nothing', { workflowId, taskQueue: 'nobody' })
}

async function workflowStatus(address: string, workflowId: string): Promise<string> {
  const { client } = await connect(address)
  return (await client.workflow.getHandle(workflowId).describe()).status.name
}

/** Starts the stand-in for the product in a process of its own. */
async function startProduct(port = 0): Promise<{ product: ChildProcess; address: string; uiUrl: string; pid: number }> {
  const script = fileURLToPath(new URL('./supervisor-process.ts', import.meta.url))
  const product = spawn(process.execPath, [script, dataDir, String(port)], { stdio: ['ignore', 'pipe', 'inherit'] })
  closers.push(async () => {
    if (product.exitCode === null && product.signalCode === null) await kill(product)
  })
  if (product.stdout === null) throw new Error('no stdout')
  const lines = createInterface({ input: product.stdout })
  const [line] = (await once(lines, 'line')) as [string]
  return { product, ...JSON.parse(line) }
}

async function kill(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}

/** A directory's survivor may not outlive its test, whatever the test found. */
function endLater(pid: number): void {
  closers.push(async () => {
    if ((await commandLine(pid))?.includes(dataDir)) process.kill(pid, 'SIGKILL')
  })
}

describe('the embedded server', () => {
  it('serves the namespace, keeps closed runs 30 days, has a Web UI, writes only to its log, and leaves nothing', async () => {
    const server = await start()
    const { connection } = await connect(server.address)
    const described = await connection.workflowService.describeNamespace({ namespace: NAMESPACE })
    expect(described.config?.workflowExecutionRetentionTtl?.seconds?.toNumber()).toBe(30 * DAY_SECONDS)
    await startWorkflow(server.address, 'one')
    expect(await workflowStatus(server.address, 'one')).toBe('RUNNING')
    const page = await fetch(server.uiUrl)
    expect(page.status).toBe(200)
    expect(await page.text()).toContain('<html')
    expect(server.ready()).toBe(true)
    expect(server.adopted).toBe(false)
    // Its greeting comes a moment after it serves.
    await vi.waitFor(async () => expect(await readFile(serverLogPath(dataDir), 'utf8')).toContain('Server'), 60_000)

    const pid = server.pid()
    expect(await processStart(pid)).not.toBeNull()
    await server.stop()
    await server.stop()
    expect(await processStart(pid)).toBeNull()
    expect(server.ready()).toBe(false)
    await expect(readFile(pidFilePath(dataDir))).rejects.toThrow('ENOENT')
  })

  it('is restarted on the same ports with its data when it dies', async () => {
    const server = await start()
    await startWorkflow(server.address, 'survives')
    const exits: ServerExit[] = []
    server.onExit((exit) => exits.push(exit))
    const first = server.pid()
    process.kill(first, 'SIGKILL')
    await vi.waitFor(() => expect(exits).toHaveLength(1), 60_000)
    expect(exits[0]).toMatchObject({ signal: 'SIGKILL' })
    expect(server.ready()).toBe(false)
    await vi.waitFor(() => expect(server.ready()).toBe(true), 30_000)
    expect(server.pid()).not.toBe(first)
    expect(await workflowStatus(server.address, 'survives')).toBe('RUNNING')
    expect(JSON.parse(await readFile(pidFilePath(dataDir), 'utf8'))).toMatchObject({ pid: server.pid() })
  })

  it('can be stopped while a restart is under way', async () => {
    const server = await start()
    process.kill(server.pid(), 'SIGKILL')
    await vi.waitFor(() => expect(server.ready()).toBe(false), { timeout: 60_000, interval: 10 })
    await server.stop()
    expect(await processStart(server.pid())).toBeNull()
  })

  it('names the port that is in use and the variable to change', async () => {
    const other = createServer()
    await new Promise<void>((done) => other.listen(0, '127.0.0.1', done))
    closers.push(() => new Promise((done) => other.close(done)))
    const address = other.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    const { port } = address
    await expect(start({ port })).rejects.toMatchObject({
      type: 'Conflict',
      message: expect.stringMatching(new RegExp(`Port ${port} .*TOOLFERRY_TEMPORAL_PORT`)),
    })
    await expect(start({ uiPort: port })).rejects.toMatchObject({
      message: expect.stringMatching(new RegExp(`Port ${port} .*TOOLFERRY_TEMPORAL_UI_PORT`)),
    })
  })

  it('says what the server wrote last when it does not start', async () => {
    const broken = join(dataDir, 'broken')
    await writeFile(broken, '#!/bin/sh\necho "Error: the disk is full" >&2\nexit 1\n', { mode: 0o755 })
    await expect(start({ findBinary: async () => broken })).rejects.toMatchObject({
      type: 'Unavailable',
      message: `The Temporal server did not start (Error: the disk is full). Its log is ${serverLogPath(dataDir)}.`,
    })
    await expect(readFile(pidFilePath(dataDir))).rejects.toThrow('ENOENT')
  })
})

describe('what an earlier product left', () => {
  it('is adopted when that product was killed, and then supervised like a child', async () => {
    const { product, address, uiUrl, pid } = await startProduct()
    endLater(pid)
    await startWorkflow(address, 'before-the-crash')
    await kill(product)
    expect(await processStart(pid)).not.toBeNull()

    const server = await start()
    expect(server).toMatchObject({ adopted: true, address, uiUrl })
    expect(server.pid()).toBe(pid)
    expect(await workflowStatus(server.address, 'before-the-crash')).toBe('RUNNING')

    process.kill(pid, 'SIGKILL')
    await vi.waitFor(() => expect(server.ready()).toBe(false), { timeout: 60_000, interval: 10 })
    await vi.waitFor(() => expect(server.ready()).toBe(true), 30_000)
    expect(server.pid()).not.toBe(pid)
    expect(await workflowStatus(server.address, 'before-the-crash')).toBe('RUNNING')
  })

  it('is ended when other ports are asked for; its data stays', async () => {
    const { product, address, pid } = await startProduct()
    endLater(pid)
    await startWorkflow(address, 'before-the-move')
    await kill(product)
    const free = await new Promise<number>((resolve) => {
      const probe = createServer()
      probe.listen(0, '127.0.0.1', () => {
        const at = probe.address()
        probe.close(() => resolve(at !== null && typeof at === 'object' ? at.port : 0))
      })
    })
    const server = await start({ port: free })
    expect(server.adopted).toBe(false)
    expect(server.address).toBe(`127.0.0.1:${free}`)
    expect(await processStart(pid)).toBeNull()
    expect(await workflowStatus(server.address, 'before-the-move')).toBe('RUNNING')
  })

  it('is refused while that product lives', async () => {
    const { product, pid } = await startProduct()
    endLater(pid)
    await expect(start()).rejects.toMatchObject({
      type: 'Conflict',
      message: expect.stringContaining(`Process ${product.pid} already runs the Temporal server`),
    })
    expect(await processStart(pid)).not.toBeNull()
  })

  it('is left alone when the pid file names a process that is not our server', async () => {
    // The argument makes it look like a server, but of another database file.
    const stranger = spawn(process.execPath, [
      '-e',
      'setInterval(() => {}, 1000)',
      ...['server', 'start-dev', '--db-filename', '/elsewhere/temporal.db', '--port', '1', '--ui-port', '2'],
    ])
    closers.push(() => kill(stranger))
    const pid = stranger.pid ?? 0
    await writeFile(
      pidFilePath(dataDir),
      JSON.stringify({ pid, start: null, port: 1, uiPort: 2, supervisorPid: 0, supervisorStart: null }),
    )
    const server = await start()
    expect(server.adopted).toBe(false)
    expect(server.pid()).not.toBe(pid)
    await server.stop()
    expect(await processStart(pid)).not.toBeNull()
  })

  it('is nothing when the pid file is garbage or names a process group', async () => {
    for (const text of ['not json', '{"pid":-1}', '{"pid":0}', 'null', '']) {
      await writeFile(pidFilePath(dataDir), text)
      expect(await findSurvivor(dataDir, join(dataDir, 'temporal.db'))).toEqual({ found: 'nothing' })
    }
  })
})
