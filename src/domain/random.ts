import { randomFillSync } from 'node:crypto'

const pool = Buffer.alloc(4096)
let used = pool.length

/** Fresh random bytes, at most 4096; to be read before the next call. Fetched for many at once: that costs far more than using them. */
export function randomPart(sizeBytes: number): Buffer {
  if (used + sizeBytes > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  used += sizeBytes
  return pool.subarray(used - sizeBytes, used)
}

let digits = ''
let digitsUsed = 0

/** Fresh random hex digits, at most 4096, lower case. */
export function randomHex(count: number): string {
  if (digitsUsed + count > digits.length) {
    digits = randomFillSync(Buffer.alloc(2048)).toString('hex')
    digitsUsed = 0
  }
  digitsUsed += count
  return digits.slice(digitsUsed - count, digitsUsed)
}
