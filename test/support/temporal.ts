import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectClient, type TemporalClient } from '../../src/temporal/connection.ts'
import { registerSearchAttributes } from '../../src/temporal/search-attributes.ts'
import { type EmbeddedServer, startEmbeddedServer } from '../../src/temporal/server.ts'
import { silentLogger } from './logger.ts'

export type TestTemporal = TemporalClient & {
  address: string
  uiUrl: string
  namespace: string
  server: EmbeddedServer
  /** SIGKILL; its supervisor starts it again on the same files. Resolves when it serves. */
  crash(): Promise<void>
  /** Ends the server; its files stay. */
  down(): Promise<void>
  /** Starts it again on the same ports; without its files, as after the loss of its disk, with `lose`. */
  up(options?: { lose?: boolean }): Promise<void>
  /** Ends the server and removes its files. */
  stop(): Promise<void>
}

/** A real Temporal server for one suite, on free ports and a directory of its own, with our search attributes. */
export async function startTestTemporal(namespace = 'toolferry-test'): Promise<TestTemporal> {
  const dataDir = await mkdtemp(join(tmpdir(), 'toolferry-temporal-'))
  const start = (port: number, uiPort: number) =>
    startEmbeddedServer({
      dataDir,
      host: '127.0.0.1',
      port,
      uiPort,
      namespace,
      logger: silentLogger,
      onProgress: (line) => console.error(line),
    })
  let server = await start(0, 0)
  const { address, uiUrl } = server
  const { connection, client } = await connectClient({ address, namespace })
  await registerSearchAttributes(connection, namespace, silentLogger)
  return {
    address,
    uiUrl,
    namespace,
    get server() {
      return server
    },
    connection,
    client,
    async crash() {
      const restarted = server.pid()
      process.kill(restarted, 'SIGKILL')
      while (server.pid() === restarted || !server.ready()) await new Promise((resolve) => setTimeout(resolve, 50))
    },
    down: () => server.stop(),
    async up({ lose = false } = {}) {
      if (lose) {
        const files = (await readdir(dataDir)).filter((name) => name.startsWith('temporal.db'))
        if (files.length === 0) throw new Error('the Temporal server left no database to lose')
        for (const file of files) await rm(join(dataDir, file))
      }
      server = await start(Number(address.split(':')[1]), Number(new URL(uiUrl).port))
    },
    async stop() {
      await connection.close()
      await server.stop()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}
