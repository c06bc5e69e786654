import { randomPart } from './random.ts'

/** 12 bits of the counter stand in rand_a, 14 in rand_b; 48 random bits follow. */
const LOW_BITS = 14
const MAX_COUNTER = 2 ** (12 + LOW_BITS) - 1

type Sequence = { ms: number; counter: number }

const now: Sequence = { ms: 0, counter: 0 }
const given: Sequence = { ms: 0, counter: 0 }

/**
 * A new UUIDv7 (RFC 9562), lower case with dashes. Those of one thread are in the order in which they were made, within a
 * millisecond by a counter (§6.2, method 1) and also while the clock goes back. With a time of its own (`atMs`, Unix time in ms) an id
 * is in the order of these times, and of one time in the order in which they were made one after another.
 */
export function newId(atMs?: number): string {
  if (atMs !== undefined) return next(given, atMs)
  const ms = Math.max(Date.now(), now.ms)
  return next(now, ms === now.ms && now.counter === MAX_COUNTER ? ms + 1 : ms)
}

function next(sequence: Sequence, ms: number): string {
  const bytes = randomPart(16)
  // Another millisecond starts anywhere in the lower half, so that what is made elsewhere at the same time starts elsewhere.
  sequence.counter = ms === sequence.ms ? (sequence.counter + 1) % (MAX_COUNTER + 1) : bytes.readUInt32BE(0) >>> 7
  sequence.ms = ms
  const { counter } = sequence
  bytes.writeUIntBE(ms, 0, 6)
  bytes.writeUInt16BE(0x7000 | (counter >>> LOW_BITS), 6)
  bytes.writeUInt16BE(0x8000 | (counter & (2 ** LOW_BITS - 1)), 8)
  const hex = bytes.toString('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

/** Before every id of this time (Unix time in ms) and later, behind every earlier one. */
export function firstIdAt(atMs: number): string {
  const hex = Math.min(Math.max(atMs, 0), 2 ** 48 - 1)
    .toString(16)
    .padStart(12, '0')
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-000000000000`
}

const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

export function isId(text: string): boolean {
  return ID.test(text)
}
