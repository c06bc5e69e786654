import { randomBytes } from 'node:crypto'

type JsonObject = Record<string, unknown>

const QUOTE = 34
const COMMA = 44
const MINUS = 45
const ZERO = 48
const NINE = 57
const BACKSLASH = 92

/** Newer than the library's types. */
const { rawJSON, isRawJSON } = JSON as unknown as {
  rawJSON(text: string): unknown
  isRawJSON(value: unknown): boolean
}

/** Whether it is a number as it stood. */
export const isRawJson = isRawJSON

/**
 * JSON that is read so that it can be written again with every number as it stood (1.0, 2^60), not as JavaScript would round it.
 * JSON.parse can tell how a number stood, but takes microseconds for each value then. So numbers that would not stay are put
 * into strings, which nobody who wrote the text can guess, and come out of them when it is written.
 */
export class ExactJson {
  readonly value: unknown
  /** null: there is no such number. */
  readonly #mark: string | null

  /** Throws SyntaxError. */
  constructor(text: string) {
    const value = JSON.parse(text)
    const parts = aroundInexactNumbers(text)
    this.#mark = parts.length === 1 ? null : randomBytes(12).toString('hex')
    this.value = this.#mark === null ? value : JSON.parse(masked(parts, this.#mark))
  }

  /** Makes numbers of the numbers that stand at these keys: raw JSON, where they would not stay. */
  reveal(object: JsonObject, keys: readonly string[]): void {
    const mark = this.#mark
    if (mark === null) return
    for (const key of keys) {
      const value = object[key]
      if (typeof value === 'string' && value.startsWith(mark)) object[key] = rawJSON(value.slice(mark.length))
    }
  }

  /** `value`: what has become of ours. May throw RangeError for what is nested thousands deep. */
  write(value: unknown): string {
    const text = JSON.stringify(value)
    return this.#mark === null ? text : text.replaceAll(new RegExp(`"${this.#mark}([^"]*)"`, 'g'), '$1')
  }
}

/** Whether a text holds no more than `max` values, as far as it is JSON. To make values costs far more than to count them. */
export function hasAtMostValues(text: string, max: number): boolean {
  let values = 1
  for (let at = 0; at < text.length && values <= max; at++) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) at = endOfString(text, at)
    else if (code === COMMA || code === 0x5b || code === 0x7b) values += 1
  }
  return values <= max
}

/** The parts of a well-formed text; every second one is a number that JavaScript would write in another way. */
function aroundInexactNumbers(text: string): string[] {
  const parts: string[] = []
  let from = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) at = endOfString(text, at)
    else if (code === MINUS || (code >= ZERO && code <= NINE)) {
      const to = endOfNumber(text, at)
      const number = text.slice(at, to)
      if (!isExact(number)) {
        parts.push(text.slice(from, at), number)
        from = to
      }
      at = to - 1
    }
  }
  parts.push(text.slice(from))
  return parts
}

function isExact(number: string): boolean {
  return String(Number(number)) === number
}

function masked(parts: string[], mark: string): string {
  for (let i = 1; i < parts.length; i += 2) parts[i] = `"${mark}${parts[i]}"`
  return parts.join('')
}

/** Where the string that begins at `at` ends: at its quote, or with the text. */
function endOfString(text: string, at: number): number {
  for (let quote = text.indexOf('"', at + 1); quote !== -1; quote = text.indexOf('"', quote + 1)) {
    let before = quote
    while (text.charCodeAt(before - 1) === BACKSLASH) before -= 1
    if ((quote - before) % 2 === 0) return quote
  }
  return text.length
}

function endOfNumber(text: string, at: number): number {
  let to = at + 1
  while (to < text.length && isInNumber(text.charCodeAt(to))) to += 1
  return to
}

/** Digits, signs, the point and the exponent. */
function isInNumber(code: number): boolean {
  return (code >= ZERO && code <= NINE) || code === MINUS || code === 43 || code === 46 || code === 69 || code === 101
}
