import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { COZE_GATEWAY_URL, type DemoCoze, startDemoCoze } from './coze.ts'
import { type DifyDatabase, openRealDify, startDemoDify } from './dify/database.ts'
import { type McpServer, startMcpServers } from './mcp-servers.ts'
import { type Product, STOP_GRACE_MS, startProduct } from './product.ts'
import type { Terminal } from './terminal.ts'

/** Everything that the demo runs on. */
export type World = { dify: DifyDatabase; coze: DemoCoze; servers: McpServer[]; product: Product }

/**
 * Stops what was started so far, in the order that lets each part finish; fine to call twice. Answers the directory with
 * the product's data and log, if it was left.
 */
export type Teardown = (options: { keepFiles: boolean }) => Promise<string | null>

export type WorldOptions = {
  /** A real Dify's PostgreSQL; null = the demo's own. */
  difyUrl: string | null
}

/**
 * Starts the Dify database, the COZE simulator, the MCP servers and the product. `onTeardown` is called before the first of
 * them is started, so that the caller can stop a world that is half up.
 */
export async function startWorld(
  options: WorldOptions,
  terminal: Terminal,
  onTeardown: (teardown: Teardown) => void,
): Promise<World> {
  // What is written into a real Dify outlives the demo, so the records of it must, too.
  const outlives = options.difyUrl !== null
  const dir = outlives ? resolve('.toolferry', 'demo') : await mkdtemp(join(tmpdir(), 'toolferry-demo-'))
  const parts = createParts()
  onTeardown(async ({ keepFiles }) => {
    await parts.stopAll()
    if (keepFiles || outlives) return dir
    await rm(dir, { recursive: true, force: true })
    return null
  })

  const dify = options.difyUrl === null ? await startDemoDify() : openRealDify(options.difyUrl)
  parts.add('last', () => dify.close())
  terminal.ok(
    dify.isReal
      ? `Dify's own database on ${dify.address.host}:${dify.address.port}`
      : `Dify's database (newest schema, embedded PostgreSQL) on 127.0.0.1:${dify.address.port}, ${dify.workspaces.length} workspaces`,
  )

  const coze = await startDemoCoze()
  parts.add('last', () => coze.simulator.stop())
  terminal.ok(`COZE (simulated) on ${coze.simulator.origin}, an enterprise with ${coze.writable.length + 1} spaces`)

  const servers = await startMcpServers(dir, (child) => parts.add('second', () => child.stop()))
  for (const server of servers) {
    terminal.ok(`MCP server ${server.name} (${server.transport}) on ${server.url}`)
  }

  terminal.progress('Toolferry starts; a first start gets the Temporal server')
  const product = await startProduct(
    { dataDir: dir, forRealDify: dify.isReal },
    (child) => parts.add('first', () => child.stop(STOP_GRACE_MS)),
    (text) => terminal.progress(text),
  ).finally(() => terminal.progress(null))
  terminal.ok(`Toolferry with its Temporal server on ${product.origin}`)
  coze.simulator.route(COZE_GATEWAY_URL, product.origin)
  return { dify, coze, servers, product }
}

type StopTurn = 'first' | 'second' | 'last'

/** What runs, and in which turn it is stopped: the product before what it uses. A part that comes too late is stopped at once. */
function createParts() {
  const parts: { turn: StopTurn; stop: () => Promise<void> }[] = []
  let stopping: Promise<void> | null = null
  const stopInTurns = async () => {
    for (const turn of ['first', 'second', 'last'] as const) {
      await Promise.all(parts.filter((part) => part.turn === turn).map((part) => part.stop()))
    }
  }
  return {
    add: (turn: StopTurn, stop: () => Promise<void>) => {
      if (stopping === null) parts.push({ turn, stop })
      else stopping = Promise.all([stopping, stop()]).then(() => undefined)
    },
    stopAll: async () => {
      stopping ??= stopInTurns()
      let waitedFor: Promise<void> | null = null
      while (waitedFor !== stopping) {
        waitedFor = stopping
        await waitedFor
      }
    },
  }
}
