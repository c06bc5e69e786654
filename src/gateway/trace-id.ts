import { randomHex } from '../domain/random.ts'

const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/
const ID_DIGITS = 32

/** 32 hex digits: the caller's W3C trace id, else one made here. */
export function traceIdOf(traceparent: string | string[] | undefined): string {
  const match = typeof traceparent === 'string' ? TRACEPARENT.exec(traceparent) : null
  return match?.[1] ?? randomHex(ID_DIGITS)
}
