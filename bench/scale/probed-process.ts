import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../test/support/mcp-servers.ts'
import { untilOk } from '../gateway/process.ts'
import type { Answer, Counts, Memory, Question } from './probe.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const PROBE = fileURLToPath(new URL('probe.ts', import.meta.url))

export type ProbedRole = 'api' | 'worker' | 'gateway'

/** A process of the product as a user starts it, with the probe in it. */
export type ProbedProcess = {
  role: ProbedRole
  origin: string
  counts(): Promise<Counts>
  memory(): Promise<Memory>
  profile(): Promise<void>
  saveProfile(folder: string, name: string): Promise<void>
  stop(): Promise<void>
}

/** Starts it and waits until it is ready. Rejects when it is not within `readyMs`. */
export async function startProbed(
  role: ProbedRole,
  env: Record<string, string>,
  { port, readyMs = 180_000 }: { port?: number; readyMs?: number } = {},
): Promise<ProbedProcess> {
  const listens = port ?? (await freePort())
  const origin = `http://127.0.0.1:${listens}`
  const child = spawn(process.execPath, ['--import', PROBE, MAIN, role], {
    env: { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '', ...env, TOOLFERRY_PORT: String(listens) },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const ask = asking(child, role)
  await untilOk(`${origin}/readyz`, readyMs)
  return {
    role,
    origin,
    counts: async () => must((await ask({ ask: 'counts' })).counts),
    memory: async () => must((await ask({ ask: 'memory' })).memory),
    profile: async () => void (await ask({ ask: 'profile' })),
    saveProfile: async (folder, name) => void (await ask({ ask: 'save', folder, name })),
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      await exited
    },
  }
}

type Asked = Question extends infer One ? (One extends { id: number } ? Omit<One, 'id'> : never) : never

function asking(child: ChildProcess, role: ProbedRole): (question: Asked) => Promise<Answer> {
  const open = new Map<number, PromiseWithResolvers<Answer>>()
  let last = 0
  child.on('message', (answer: Answer) => {
    open.get(answer.id)?.resolve(answer)
    open.delete(answer.id)
  })
  child.once('exit', (code, signal) => {
    for (const { reject } of open.values()) reject(new Error(`the ${role} ended (${code ?? signal})`))
  })
  return (question) => {
    last += 1
    const waiting = Promise.withResolvers<Answer>()
    open.set(last, waiting)
    child.send({ id: last, ...question }, (error) => {
      if (error !== null) waiting.reject(error)
    })
    return waiting.promise
  }
}

function must<T>(answered: T | undefined): T {
  if (answered === undefined) throw new Error('the probe answered another question')
  return answered
}
