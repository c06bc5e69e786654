import { Pieces } from './pieces.ts'

const LF = 10
const CR = 13

/** An event was larger than the limit. */
export class EventTooLargeError extends Error {
  override readonly name = 'EventTooLargeError'
}

/**
 * Cuts a byte stream of server-sent events into whole events, terminator included, as fast as they come; their concatenation
 * is the stream. An event that never ended is not given out (WHATWG HTML §9.2.6 discards it as well).
 */
export class EventSplitter {
  readonly #maxBytes: number
  readonly #held = new Pieces()
  /** Bytes of the line being read. */
  #lineBytes = 0
  #afterCr = false

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Throws EventTooLargeError, after all events before the large one. */
  *push(chunk: Buffer): Generator<Buffer, void, undefined> {
    let from = 0
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i]
      if (byte === LF && this.#afterCr) {
        // Second half of CR LF. When it follows an event that ended with CR, it goes out by itself.
        this.#afterCr = false
        if (this.#held.bytes + (i - from) === 0) {
          yield chunk.subarray(i, i + 1)
          from = i + 1
        }
        continue
      }
      this.#afterCr = byte === CR
      if (byte !== LF && byte !== CR) {
        this.#lineBytes += 1
        continue
      }
      const blank = this.#lineBytes === 0
      this.#lineBytes = 0
      if (!blank) continue
      if (byte === CR && chunk[i + 1] === LF) {
        this.#afterCr = false
        i += 1
      }
      yield this.#take(chunk.subarray(from, i + 1))
      from = i + 1
    }
    if (from < chunk.length) this.#hold(chunk.subarray(from))
  }

  #hold(part: Buffer): void {
    this.#held.push(part)
    if (this.#held.bytes > this.#maxBytes) throw new EventTooLargeError('An event is larger than the limit.')
  }

  #take(last: Buffer): Buffer {
    if (this.#held.bytes === 0) return last
    this.#held.push(last)
    return this.#held.take()
  }
}

export type ServerSentEvent = {
  /** The event's type; `message` when it says none. */
  type: string
  /** null: it has no data (a comment, a keep-alive), so clients dispatch nothing. */
  data: string | null
  /** The lines that are not data, as they stood. */
  otherLines: string[]
}

/** Reads one whole event (WHATWG HTML §9.2.6). */
export function parseEvent(event: Buffer): ServerSentEvent {
  let type = ''
  let data: string | null = null
  const otherLines: string[] = []
  for (const line of event
    .toString('utf8')
    .replace(/^\uFEFF/, '')
    .split(/\r\n|\n|\r/)) {
    if (line === '') continue
    const colon = line.indexOf(':')
    const field = colon === -1 ? line : line.slice(0, colon)
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (field === 'data') {
      data = data === null ? value : `${data}\n${value}`
      continue
    }
    if (field === 'event') type = value
    otherLines.push(line)
  }
  return { type: type === '' ? 'message' : type, data, otherLines }
}

/** An event with other data. */
export function formatEvent(event: ServerSentEvent, data: string): Buffer {
  const lines = [...event.otherLines, ...data.split('\n').map((line) => `data: ${line}`)]
  return Buffer.from(`${lines.join('\n')}\n\n`)
}
