const SMALL_BYTES = 1024
const MAX_SMALL = 256
/** Of pieces that are written on as they are. */
const MAX_FEW = 64

/**
 * Up to this size bytes are written as text (latin1, a character a byte). It is a copy, but one in V8's young space, which is
 * collected often and at little cost; memory of buffers is what makes it collect everything.
 */
export const TEXT_MAX_BYTES = 128 * 1024

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

  /** All of it, joined only where it has come in many pieces; nothing is kept any longer. */
  takeFew(): readonly Buffer[] {
    if (this.#pieces.length > MAX_FEW) return [this.take()]
    const pieces = this.#pieces
    this.clear()
    return pieces
  }

  clear(): void {
    this.#pieces = []
    this.#bytes = 0
    this.#small = 0
  }
}

/** Bytes as text, a character a byte (latin1). */
export function textOf(pieces: readonly Buffer[]): string {
  let text = ''
  for (const piece of pieces) text += piece.toString('latin1')
  return text
}
