import { setTimeout as sleep } from 'node:timers/promises'
import type { Answer } from '../support/api-client.ts'
import type { Cluster } from '../support/cluster.ts'

/**
 * An admin at an API whose processes are killed: asks again until somebody answers, as a person or a script would. What was
 * asked twice may have been done twice.
 */
export type Admin = {
  ask: <T = Record<string, unknown>>(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ) => Promise<Answer<T>>
  must: <T = Record<string, unknown>>(method: string, path: string, body?: unknown) => Promise<T>
}

const PATIENCE_MS = 180_000

export function createAdmin(cluster: Cluster): Admin {
  const ask: Admin['ask'] = async (method, path, body, headers) => {
    const deadline = Date.now() + PATIENCE_MS
    for (;;) {
      const answer = await cluster.call(method, path, body, headers).catch((error: unknown) => {
        // Nobody there, or killed in mid-answer.
        if (error instanceof TypeError || error instanceof SyntaxError) return null
        throw error
      })
      if (answer !== null && answer.status < 500) return answer as never
      if (Date.now() > deadline)
        throw new Error(`${method} ${path}: nobody answers (${answer?.status} ${answer?.text})`)
      await sleep(200)
    }
  }
  return {
    ask,
    must: async (method, path, body) => {
      const answer = await ask(method, path, body)
      if (answer.status >= 400) throw new Error(`${method} ${path}: ${answer.status}\n${answer.text}`)
      return answer.body as never
    },
  }
}
