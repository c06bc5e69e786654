import type { IncomingHttpHeaders } from 'node:http'
import { FieldReader, wholeNumber } from './http-fields.ts'

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

const LINE = /^(GET|POST|DELETE) (\/[\x21-\x7e]*) HTTP\/1\.1\r\n$/
/** How the message or the connection goes on is then another matter than Content-Length and keep-alive. */
const OTHER_FRAMING = ['transfer-encoding', 'upgrade', 'expect', 'proxy-connection', 'trailer']
/** node:http drops the last one, as an object cannot hold it. */
const NOT_PLAIN = new Set([...OTHER_FRAMING, '__proto__'])

type RequestLine = { text: string; method: string; target: string }

/** Reads the heads of one connection, one after another. */
export class RequestHeadReader {
  readonly #fields = new FieldReader()
  #line: RequestLine = { text: '', method: '', target: '' }

  /**
   * Reads a head (latin1, with CR LF behind each line and without the empty one) as long as there is one way to read it: HTTP/1.1, one
   * Host, no name twice, a body by Content-Length or none, a connection that stays. null: anything else, for node:http to read or
   * to refuse.
   */
  read(text: string): RequestHead | null {
    const line = this.#requestLine(text)
    if (line === null) return null
    const headers: IncomingHttpHeaders = Object.create(null)
    const rawHeaders: string[] = []
    let isPlain = true
    const isWhole = this.#fields.read(text, line.text.length, ({ raw, lower }, value) => {
      if (headers[lower] !== undefined || NOT_PLAIN.has(lower)) isPlain = false
      headers[lower] = value
      rawHeaders.push(raw, value)
    })
    const { host, connection, 'content-length': length } = headers
    if (!isWhole || !isPlain || host === undefined) return null
    if (connection !== undefined && connection.toLowerCase() !== 'keep-alive') return null
    const lengthBytes = length === undefined ? 0 : wholeNumber(length)
    return lengthBytes === null ? null : { method: line.method, target: line.target, headers, rawHeaders, lengthBytes }
  }

  #requestLine(text: string): RequestLine | null {
    const known = this.#line
    if (known.text !== '' && text.slice(0, known.text.length) === known.text) return known
    const line = text.slice(0, text.indexOf('\r\n') + 2)
    const [, method, target] = LINE.exec(line) ?? []
    if (method === undefined || target === undefined) return null
    this.#line = { text: line, method, target }
    return this.#line
  }
}
