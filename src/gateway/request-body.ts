/** Bodies up to this size are joined without memory of their own. */
const SCRATCH_BYTES = 1024 * 1024 + 64 * 1024
let scratch: Buffer | null = null

/**
 * A request's body as it has come, in a few pieces. It is written on in these, and joined only to be looked into: to join it
 * for good takes a buffer as large again, and buffers are what makes V8 collect everything (see TEXT_MAX_BYTES).
 */
export class RequestBody {
  readonly pieces: readonly Buffer[]
  readonly length: number

  constructor(pieces: readonly Buffer[]) {
    this.pieces = pieces
    this.length = pieces.reduce((sum, piece) => sum + piece.length, 0)
  }

  /** All of it in one, to be read at once and not kept: the next body comes to stand in the same place. */
  joined(): Buffer {
    const [only] = this.pieces
    if (this.pieces.length === 1 && only !== undefined) return only
    if (this.length > SCRATCH_BYTES) return Buffer.concat(this.pieces)
    scratch ??= Buffer.allocUnsafeSlow(SCRATCH_BYTES)
    let at = 0
    for (const piece of this.pieces) at += piece.copy(scratch, at)
    return scratch.subarray(0, at)
  }
}
