import type { Transform } from 'node:stream'
import type { BrotliOptions, ZlibOptions } from 'node:zlib'
import { constants, createBrotliDecompress, createGunzip, createInflate, createInflateRaw } from 'node:zlib'

/** Told of a body as it is decoded. After `stop` nothing more is told. */
export type DecoderListener = {
  onData(chunk: Buffer): void
  onEnd(): void
  /** What came is not what the encoding says. */
  onError(): void
  /** After a `push` that answered false: it takes more now. */
  onDrain(): void
}

// All that can be read is given out at once: an event must not wait for the next one to fill a block. A body that ends in
// the middle ends where it ends; whoever reads what was in it sees that.
const ZLIB: ZlibOptions = { flush: constants.Z_SYNC_FLUSH, finishFlush: constants.Z_SYNC_FLUSH }
const BROTLI: BrotliOptions = {
  flush: constants.BROTLI_OPERATION_FLUSH,
  finishFlush: constants.BROTLI_OPERATION_FLUSH,
}

const DECODERS = new Map<string, (first: number) => Transform>([
  ['gzip', () => createGunzip(ZLIB)],
  ['x-gzip', () => createGunzip(ZLIB)],
  // Meant with zlib's header (RFC 9110 §8.4.1.2), often sent without; the header's first byte tells.
  ['deflate', (first) => ((first & 0x0f) === 8 ? createInflate(ZLIB) : createInflateRaw(ZLIB))],
  ['br', () => createBrotliDecompress(BROTLI)],
])

/** Whether a `Content-Encoding` can be undone here: one coding of gzip, deflate and br. */
export function isDecodable(encoding: string): boolean {
  return DECODERS.has(encoding.toLowerCase())
}

/** Undoes the compression of a body that has to be looked into, piece by piece as it comes, with backpressure. */
export class BodyDecoder {
  readonly #encoding: string
  readonly #listener: DecoderListener
  #stream: Transform | null = null
  #paused = false
  #stopped = false

  /** `encoding`: one that isDecodable. */
  constructor(encoding: string, listener: DecoderListener) {
    this.#encoding = encoding.toLowerCase()
    this.#listener = listener
  }

  /** False: enough for now, until onDrain. */
  push(chunk: Buffer): boolean {
    const [first] = chunk
    if (first === undefined) return true
    this.#stream ??= this.#begin(first)
    return this.#stream.write(chunk)
  }

  /** Nothing more comes; onEnd follows when all is given out. */
  end(): void {
    if (this.#stream === null) this.#listener.onEnd()
    else this.#stream.end()
  }

  /** Gives out nothing for now; what is given out already may still come. */
  pause(): void {
    this.#paused = true
    this.#stream?.pause()
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#stream?.resume()
  }

  stop(): void {
    this.#stopped = true
    this.#stream?.destroy()
  }

  #begin(first: number): Transform {
    const stream = DECODERS.get(this.#encoding)?.(first)
    if (stream === undefined) throw new TypeError('An encoding that cannot be undone.')
    const { onData, onEnd, onError, onDrain } = this.#listener
    const told = (tell: () => void): void => {
      if (!this.#stopped) tell()
    }
    stream.on('data', (chunk: Buffer) => told(() => onData(chunk)))
    stream.on('end', () => told(onEnd))
    stream.on('error', () => told(onError))
    stream.on('drain', () => told(onDrain))
    return stream
  }
}
