import { END_OF_HEAD, END_OF_LINE, FieldReader, MAX_HEAD_BYTES, wholeNumber } from './http-fields.ts'

/** What an HTTP/1.1 server answered cannot be read, or could be read in two ways. The connection is not to be used again. */
export class BadResponseError extends Error {
  override readonly name = 'BadResponseError'
}

/** Told of a response as it comes. Any call may end in `stop`. */
export type ResponseListener = {
  /** `headers`: flat (name, value, …), names in lower case, values without the spaces around them; in order, repeated ones too. */
  onHead(status: number, headers: string[]): void
  /** `chunk`: of what was pushed, where that did not have to be joined. */
  onBody(chunk: Buffer): void
  /** The response is whole. `reusable`: the connection is in a known state and may carry another exchange. */
  onEnd(reusable: boolean): void
}

const MAX_CHUNK_LINE_BYTES = 1024
/** 100, 102 and 103 before the answer itself. */
const MAX_INTERIM = 8
/** How long a connection may wait whose server does not say: undici's default, which leaves servers with the usual 5 s alone. */
export const UPSTREAM_KEEP_ALIVE_MS = 4_000
const MAX_UPSTREAM_KEEP_ALIVE_MS = 60_000
/** A connection is given up so long before its server would, since a request that crosses its end is lost. */
const KEEP_ALIVE_MARGIN_MS = 2_000

/** Control characters, and line ends that are not CR LF, in what may end between CR and LF. */
const ILL_BEGUN = /[^\t\r\n\x20-\x7e\x80-\xff]|\r(?!\n|$)|(?<!\r)\n/
const CHUNK_LINE = /^([0-9A-Fa-f]{1,12})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?$/

type State = 'head' | 'sized' | 'until-close' | 'chunk-line' | 'chunk' | 'chunk-end' | 'trailers' | 'over'

/**
 * Reads the responses of one connection, one after the other (RFC 9112). Strict where leniency lets two readers of the same
 * bytes see different messages: no folded lines, no bare LF, one Content-Length or `chunked` and never both, nothing behind
 * the end. Every violation throws BadResponseError, after which the parser must not be fed again.
 */
export class ResponseParser {
  readonly #listener: ResponseListener
  readonly #fields = new FieldReader()
  /** The last one, and its status. */
  #statusLine = { text: '', status: 0 }
  #state: State = 'over'
  #held: Buffer | null = null
  /** Of the body, or of the chunk. */
  #missingBytes = 0
  #trailerBytes = 0
  #interim = 0
  #persistent = false
  #keepAliveMs = UPSTREAM_KEEP_ALIVE_MS

  constructor(listener: ResponseListener) {
    this.#listener = listener
  }

  /** How long the connection may wait for its next exchange, ms; 0 = not at all. */
  get keepAliveMs(): number {
    return this.#keepAliveMs
  }

  /** A request has been sent: the next bytes are its response. */
  begin(): void {
    this.#state = 'head'
    this.#held = null
    this.#interim = 0
    this.#trailerBytes = 0
    this.#keepAliveMs = UPSTREAM_KEEP_ALIVE_MS
  }

  /** What else comes is not wanted; the listener is not called again. */
  stop(): void {
    this.#state = 'over'
    this.#held = null
  }

  /** Throws BadResponseError. */
  push(chunk: Buffer): void {
    const data = this.#held === null ? chunk : Buffer.concat([this.#held, chunk])
    this.#held = null
    let at = 0
    while (at < data.length && this.#state !== 'over') {
      const next = this.#step(data, at)
      if (next === -1) {
        // Not whole yet. Copied, as the rest of a large read would be kept alive by it.
        this.#held = Buffer.from(data.subarray(at))
        return
      }
      at = next
    }
  }

  /** The server has ended the connection. Throws BadResponseError when that cuts a response short. */
  close(): void {
    if (this.#state === 'over') return
    if (this.#state !== 'until-close') throw new BadResponseError('The connection ended before the response.')
    this.#finish(false)
  }

  /** Where to go on reading; -1 = more bytes are needed from `at` on. */
  #step(data: Buffer, at: number): number {
    switch (this.#state) {
      case 'head':
        return this.#readHead(data, at)
      case 'sized':
        return this.#readSized(data, at)
      case 'until-close':
        this.#listener.onBody(at === 0 ? data : data.subarray(at))
        return data.length
      case 'chunk-line':
        return this.#readChunkLine(data, at)
      case 'chunk':
        return this.#readChunk(data, at)
      case 'chunk-end':
        return this.#readChunkEnd(data, at)
      case 'trailers':
        return this.#readTrailer(data, at)
      case 'over':
        return data.length
    }
  }

  #readHead(data: Buffer, at: number): number {
    const end = data.indexOf(END_OF_HEAD, at)
    if (end === -1 || end - at > MAX_HEAD_BYTES) {
      if (data.length - at > MAX_HEAD_BYTES) throw new BadResponseError('The head of the response is too large.')
      if (ILL_BEGUN.test(data.toString('latin1', at))) throw new BadResponseError('Ill-formed head.')
      return -1
    }
    const text = data.toString('latin1', at, end + END_OF_LINE.length)
    const next = end + END_OF_HEAD.length
    const fieldsAt = text.indexOf('\r\n') + END_OF_LINE.length
    const status = this.#statusOf(text.slice(0, fieldsAt))
    const headers = fieldsOf(this.#fields, text, fieldsAt)
    const isOld = text.charCodeAt(7) === 48
    if (status < 200) {
      this.#interim += 1
      if (status === 101 || this.#interim > MAX_INTERIM) throw new BadResponseError('Unwanted interim response.')
      return next
    }
    const { length, chunked, close, keepAliveS } = framingOf(headers)
    if (chunked && (length !== null || isOld)) throw new BadResponseError('The length of the response is ambiguous.')
    // Who announces a body where there is none may send it all the same, and it would be taken for the next answer.
    const isClear = status !== 204 || (!chunked && (length ?? 0) === 0)
    this.#persistent = !isOld && !close && isClear
    if (keepAliveS !== null) {
      this.#keepAliveMs = Math.min(Math.max(keepAliveS * 1_000 - KEEP_ALIVE_MARGIN_MS, 0), MAX_UPSTREAM_KEEP_ALIVE_MS)
    }
    const hasBody = status !== 204 && status !== 304 && length !== 0
    this.#missingBytes = length ?? 0
    this.#state = !hasBody || length !== null ? 'sized' : chunked ? 'chunk-line' : 'until-close'
    this.#listener.onHead(status, headers)
    if (!hasBody && this.#isOpen()) this.#finish(next === data.length)
    return next
  }

  #statusOf(line: string): number {
    if (this.#statusLine.text !== line) this.#statusLine = { text: line, status: statusOf(line) }
    return this.#statusLine.status
  }

  #readSized(data: Buffer, at: number): number {
    const end = Math.min(data.length, at + this.#missingBytes)
    this.#missingBytes -= end - at
    this.#listener.onBody(at === 0 && end === data.length ? data : data.subarray(at, end))
    if (this.#missingBytes === 0 && this.#isOpen()) this.#finish(end === data.length)
    return end
  }

  #readChunkLine(data: Buffer, at: number): number {
    const end = data.indexOf(END_OF_LINE, at)
    if (end === -1 || end - at > MAX_CHUNK_LINE_BYTES) {
      if (data.length - at > MAX_CHUNK_LINE_BYTES) throw new BadResponseError('A chunk’s line is too long.')
      return -1
    }
    const size = CHUNK_LINE.exec(data.toString('latin1', at, end))?.[1]
    if (size === undefined) throw new BadResponseError('Ill-formed chunk.')
    this.#missingBytes = Number.parseInt(size, 16)
    this.#state = this.#missingBytes === 0 ? 'trailers' : 'chunk'
    return end + END_OF_LINE.length
  }

  #readChunk(data: Buffer, at: number): number {
    const end = Math.min(data.length, at + this.#missingBytes)
    this.#missingBytes -= end - at
    if (this.#missingBytes === 0) this.#state = 'chunk-end'
    this.#listener.onBody(data.subarray(at, end))
    return end
  }

  #readChunkEnd(data: Buffer, at: number): number {
    if (data.length - at < END_OF_LINE.length) return -1
    if (data[at] !== 13 || data[at + 1] !== 10) throw new BadResponseError('A chunk is longer than it said.')
    this.#state = 'chunk-line'
    return at + END_OF_LINE.length
  }

  /** Trailers are checked and thrown away: nothing of what they could say is for the client. */
  #readTrailer(data: Buffer, at: number): number {
    const end = data.indexOf(END_OF_LINE, at)
    if (end === -1 || this.#trailerBytes + end - at > MAX_HEAD_BYTES) {
      if (this.#trailerBytes + data.length - at > MAX_HEAD_BYTES)
        throw new BadResponseError('The trailers are too large.')
      return -1
    }
    const next = end + END_OF_LINE.length
    this.#trailerBytes += next - at
    if (end === at) this.#finish(next === data.length)
    else fieldsOf(new FieldReader(), data.toString('latin1', at, next), 0)
    return next
  }

  /** `clean`: nothing has come behind the end. */
  #finish(clean: boolean): void {
    this.#state = 'over'
    this.#listener.onEnd(clean && this.#persistent && this.#keepAliveMs > 0)
  }

  /** False after a listener has called `stop`. */
  #isOpen(): boolean {
    return this.#state !== 'over'
  }
}

/** Throws BadResponseError. */
function statusOf(line: string): number {
  // Beyond 599 there are no classes: what such a status means would be guessed (RFC 9110 §15).
  const match = /^HTTP\/1\.[01] ([1-5]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?\r\n$/.exec(line)
  if (match === null) throw new BadResponseError('Ill-formed status line.')
  return Number(match[1])
}

/** The fields of a head's lines from `from` on: flat, names in lower case. Throws BadResponseError. */
function fieldsOf(reader: FieldReader, text: string, from: number): string[] {
  const fields: string[] = []
  const isWhole = reader.read(text, from, (name, value) => void fields.push(name.lower, value))
  if (!isWhole) throw new BadResponseError('A line of the head is no field.')
  return fields
}

type Framing = { length: number | null; chunked: boolean; close: boolean; keepAliveS: number | null }

/** How the body is delimited and whether the connection lasts. Throws BadResponseError. */
function framingOf(headers: string[]): Framing {
  const framing: Framing = { length: null, chunked: false, close: false, keepAliveS: null }
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const value = headers[i + 1] ?? ''
    switch (headers[i]) {
      case 'content-length':
        if (framing.length !== null) throw new BadResponseError('Ambiguous Content-Length.')
        framing.length = wholeNumber(value)
        if (framing.length === null) throw new BadResponseError('Ill-formed Content-Length.')
        break
      case 'transfer-encoding':
        if (framing.chunked || value.toLowerCase() !== 'chunked') {
          throw new BadResponseError('A transfer coding that we do not read.')
        }
        framing.chunked = true
        break
      case 'connection':
        // No pattern that looks for a comma behind blanks: many blanks would make it look from each of them.
        if (value !== 'keep-alive') {
          framing.close ||= value.split(',').some((option) => option.trim().toLowerCase() === 'close')
        }
        break
      case 'keep-alive': {
        const timeout = /(?:^|[,\s])timeout=(\d{1,9})/i.exec(value)?.[1]
        if (timeout !== undefined) framing.keepAliveS = Number(timeout)
        break
      }
    }
  }
  return framing
}
