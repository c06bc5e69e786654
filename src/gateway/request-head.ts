import type { IncomingHttpHeaders } from 'node:http'
import { eachField, ILL_FORMED } from './http-fields.ts'

/** The head of a request that is framed in the simplest way. */
export type RequestHead = {
  method: string
  target: string
  headers: IncomingHttpHeaders
  /** Flat, names as they were spelt. */
  rawHeaders: string[]
  /** Of the body. */
  lengthBytes: number
}

const LINE = /^(GET|POST|DELETE) (\/[\x21-\x7e]*) HTTP\/1\.1$/
const LENGTH = /^\d{1,15}$/
/** How the message or the connection goes on is then another matter than Content-Length and keep-alive. */
const OTHER_FRAMING = ['transfer-encoding', 'upgrade', 'expect', 'proxy-connection', 'trailer']
/** node:http drops the last one, as an object cannot hold it. */
const NOT_PLAIN = new Set([...OTHER_FRAMING, '__proto__'])

/**
 * Reads a head (latin1, without its empty line) as long as there is one way to read it: HTTP/1.1, one Host, no name twice, a body
 * by Content-Length or none, a connection that stays. null: anything else, for node:http to read or to refuse.
 */
export function readRequestHead(text: string): RequestHead | null {
  if (ILL_FORMED.test(text)) return null
  const lineEnd = text.indexOf('\r\n')
  const [, method, target] = (lineEnd === -1 ? null : LINE.exec(text.slice(0, lineEnd))) ?? []
  if (method === undefined || target === undefined) return null
  const headers: IncomingHttpHeaders = Object.create(null)
  const rawHeaders: string[] = []
  let isPlain = true
  const isWhole = eachField(text, lineEnd + 2, ({ raw, lower }, value) => {
    if (headers[lower] !== undefined || NOT_PLAIN.has(lower)) isPlain = false
    headers[lower] = value
    rawHeaders.push(raw, value)
  })
  const { host, connection, 'content-length': length } = headers
  if (!isWhole || !isPlain || host === undefined) return null
  if (connection !== undefined && connection.toLowerCase() !== 'keep-alive') return null
  if (length !== undefined && !LENGTH.test(length)) return null
  return { method, target, headers, rawHeaders, lengthBytes: length === undefined ? 0 : Number(length) }
}
