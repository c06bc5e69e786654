const SMALL_BYTES = 1024
const MAX_SMALL = 256

/**
 * Bytes that are kept as they come, until they are wanted whole. Small pieces are joined on the way: each by itself takes a
 * hundred bytes more than it holds, and who sends a body byte by byte would fill our memory with what counts as little.
 */
export class Pieces {
  #pieces: Buffer[] = []
  #bytes = 0
  /** How many of the last ones are small. */
  #small = 0

  get bytes(): number {
    return this.#bytes
  }

  push(piece: Buffer): void {
    this.#pieces.push(piece)
    this.#bytes += piece.length
    this.#small = piece.length < SMALL_BYTES ? this.#small + 1 : 0
    if (this.#small < MAX_SMALL) return
    this.#pieces.push(Buffer.concat(this.#pieces.splice(-MAX_SMALL)))
    this.#small = 0
  }

  /** All of it; nothing is kept any longer. */
  take(): Buffer {
    const [only] = this.#pieces
    const whole = this.#pieces.length === 1 && only !== undefined ? only : Buffer.concat(this.#pieces)
    this.clear()
    return whole
  }

  clear(): void {
    this.#pieces = []
    this.#bytes = 0
    this.#small = 0
  }
}
