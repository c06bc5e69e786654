import { manyTools, startScriptedServer } from '../../test/support/scripted-mcp-server.ts'

/** The MCP servers of the benchmark, in a process of their own: one listener, an instance is a path. Tells its parent how many requests came. */

const TOOLS = 10

const server = await startScriptedServer({ tools: manyTools(TOOLS) })
let counted = 0
setInterval(() => {
  counted += server.requests.length
  server.requests.length = 0
}, 500).unref()

process.on('message', () => {
  counted += server.requests.length
  server.requests.length = 0
  process.send?.({ requests: counted })
})
process.once('disconnect', () => void server.stop())
process.send?.({ port: server.port })
