import { mkdtemp, rm } from 'node:fs/promises'
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
  /** Ends the server and removes its files. */
  stop(): Promise<void>
}

/** A real Temporal server for one suite, on free ports and a directory of its own, with our search attributes. */
export async function startTestTemporal(namespace = 'toolferry-test'): Promise<TestTemporal> {
  const dataDir = await mkdtemp(join(tmpdir(), 'toolferry-temporal-'))
  const server = await startEmbeddedServer({
    dataDir,
    host: '127.0.0.1',
    port: 0,
    uiPort: 0,
    namespace,
    logger: silentLogger,
    onProgress: (line) => console.error(line),
  })
  const { address, uiUrl } = server
  const { connection, client } = await connectClient({ address, namespace })
  await registerSearchAttributes(connection, namespace, silentLogger)
  return {
    address,
    uiUrl,
    namespace,
    server,
    connection,
    client,
    async stop() {
      await connection.close()
      await server.stop()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}
