import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

export type Started = { pid: number; stop(): Promise<void> }

/** A child process; `env` is all it gets besides PATH and HOME. Ended with SIGTERM. */
export function start(
  command: string,
  args: string[],
  env: Record<string, string> = {},
): Started & { child: ChildProcess } {
  const child = spawn(command, args, {
    env: {
      PATH: process.env.PATH ?? '',
      HOME: process.env.HOME ?? '',
      XDG_CACHE_HOME: process.env.XDG_CACHE_HOME ?? '',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  return {
    child,
    pid: child.pid ?? 0,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      await exited
    },
  }
}

/** Starts one of this folder's scripts and waits for the port that it prints. */
export async function startScript(script: string, args: string[] = []): Promise<Started & { port: number }> {
  const started = start(process.execPath, [new URL(script, import.meta.url).pathname, ...args])
  let text = ''
  for await (const chunk of started.child.stdout ?? []) {
    text += String(chunk)
    const port = /PORT (\d+)/.exec(text)?.[1]
    if (port !== undefined) {
      started.child.stdout?.resume()
      return { pid: started.pid, stop: started.stop, port: Number(port) }
    }
  }
  throw new Error(`${script} ended before it listened`)
}

export async function untilOk(url: string, timeoutMs = 100_000): Promise<void> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const ok = await fetch(url).then(
      (response) => response.ok,
      () => false,
    )
    if (ok) return
    if (Date.now() > deadline) throw new Error(`${url} did not become ready`)
    await sleep(100)
  }
}

/** Processor time that a process and its children have used so far, in ms (Linux; counted in ticks of 10 ms). */
export async function processorMs(pid: number): Promise<number> {
  let total = 0
  for (const name of await processesOf(pid)) {
    const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    total += (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * 10
  }
  return total
}

/** Resident memory of a process and its children, in bytes (Linux). */
export async function residentBytes(pid: number): Promise<number> {
  let total = 0
  for (const name of await processesOf(pid)) {
    const status = await readFile(`/proc/${name}/status`, 'utf8').catch(() => '')
    total += Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024
  }
  return total
}

/** Resident memory of one process, in bytes: now, its own part of that (without Node's program, which processes share), and at its highest (Linux). */
export async function memoryOf(pid: number): Promise<{ residentBytes: number; ownBytes: number; peakBytes: number }> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const value = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? 0) * 1024
  return { residentBytes: value('VmRSS'), ownBytes: value('RssAnon'), peakBytes: value('VmHWM') }
}

async function processesOf(pid: number): Promise<string[]> {
  const own = [String(pid)]
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const status = await readFile(`/proc/${name}/status`, 'utf8').catch(() => '')
    if (new RegExp(`^PPid:\\s+${pid}$`, 'm').test(status)) own.push(name)
  }
  return own
}
