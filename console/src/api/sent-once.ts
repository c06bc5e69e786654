import { useState } from 'react'
import { toProblem } from './problem.ts'

/** Sends what is asked for with the header that tells the server whether it has been asked for before. */
export type SendOnce = <T>(asked: unknown, send: (header: { 'idempotency-key': string }) => Promise<T>) => Promise<T>

/**
 * For calls that must not be carried out twice: asked for again after an answer that was lost, it is the same request, and gets
 * what the first has made. Until there is an answer: what is asked for after that is meant anew.
 */
export function useSendOnce(): SendOnce {
  const [sendOnce] = useState(makeSendOnce)
  return sendOnce
}

function makeSendOnce(): SendOnce {
  const keys = new Map<string, string>()
  return async (asked, send) => {
    const request = JSON.stringify(asked)
    const key = keys.get(request) ?? newKey()
    keys.set(request, key)
    try {
      const answer = await send({ 'idempotency-key': key })
      keys.delete(request)
      return answer
    } catch (error) {
      // What it once made is over. Any other refusal may have come before the server looked at the key.
      if (toProblem(error).code === 'idempotency_key_reused') keys.delete(request)
      throw error
    }
  }
}

/** crypto.randomUUID is only there on pages with https and on this machine. */
function newKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}
