import { startEmbeddedServer } from '../../src/temporal/server.ts'
import { silentLogger } from '../support/logger.ts'

/** A stand-in for the product, to be killed: starts the embedded server of the directory given and says where it is. */
const [dataDir = '', port = '0'] = process.argv.slice(2)
const server = await startEmbeddedServer({
  dataDir,
  host: '127.0.0.1',
  port: Number(port),
  uiPort: 0,
  namespace: 'toolferry-test',
  logger: silentLogger,
  onProgress: () => undefined,
})
console.log(JSON.stringify({ address: server.address, uiUrl: server.uiUrl, pid: server.pid() }))
