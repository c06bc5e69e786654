import { setTimeout as sleep } from 'node:timers/promises'
import { CallRefused, openAsDify } from '../../demo/dify/mcp-call.ts'

/** Where and with what a platform calls a tool now: read from the platform anew for every call. */
export type Credential = { url: string; headers: Record<string, string> }

export type ConstantCallers = {
  /** Calls that were answered. */
  answered: () => number
  /** What went wrong, one line a call. */
  refused: () => string[]
  /** Resolves once every caller has been answered this often more, or one was refused. */
  more: (times: number) => Promise<void>
  stop: () => Promise<void>
}

/**
 * Calls a tool again and again, as agents do, each caller with whatever its platform holds at that moment: it reads the credential,
 * opens a session, calls, closes. A credential may be replaced between its reading and its use.
 */
export function callConstantly(credentials: (() => Promise<Credential>)[], tool: string): ConstantCallers {
  let stopped = false
  const answered = credentials.map(() => 0)
  const refused: string[] = []
  const call = async (current: () => Promise<Credential>, index: number) => {
    try {
      const { url, headers } = await current()
      const session = await openAsDify(url, headers)
      await session.callTool(tool, { text: 'x' })
      await session.close()
      answered[index] = (answered[index] ?? 0) + 1
    } catch (error) {
      const reason = error instanceof CallRefused ? `${error.status} ${error.reason}` : String(error)
      refused.push(`caller ${index}: ${reason}`)
      await sleep(50)
    }
  }
  const running = credentials.map(async (current, index) => {
    while (!stopped) await call(current, index)
  })
  return {
    answered: () => answered.reduce((sum, count) => sum + count, 0),
    refused: () => refused,
    more: async (times) => {
      const wanted = answered.map((count) => count + times)
      while (answered.some((count, index) => count < (wanted[index] ?? 0)) && refused.length === 0) {
        await sleep(20)
      }
    },
    stop: async () => {
      stopped = true
      await Promise.all(running)
    },
  }
}
