import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'

export type RunningServer = { url: string; port: number; stop(): Promise<void> }

/** The reference server of the MCP project as a child process of its own, on a free port. Resolves when it listens. */
export async function startEverything(transport: 'streamableHttp' | 'sse'): Promise<RunningServer> {
  const script = createRequire(import.meta.url).resolve('@modelcontextprotocol/server-everything/dist/index.js')
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort()
    const child = spawn(process.execPath, [script, transport], {
      env: { PATH: process.env.PATH, PORT: String(port) },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    if (await saysItListens(child, port)) {
      const path = transport === 'sse' ? '/sse' : '/mcp'
      return { url: `http://127.0.0.1:${port}${path}`, port, stop: () => stopChild(child) }
    }
    await stopChild(child)
    // Somebody else may have taken the port in between.
    if (attempt === 3) throw new Error(`server-everything (${transport}) did not start`)
  }
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

function saysItListens(child: ChildProcess, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    let text = ''
    child.once('exit', () => resolve(false))
    child.stderr?.on('data', (chunk: Buffer) => {
      text += chunk.toString()
      if (text.includes(`on port ${port}`)) resolve(true)
    })
  })
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}
