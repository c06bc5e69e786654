import type { RpcSummary, UnreadableCode } from './rpc.ts'
import { parseRequest, summaryOf } from './rpc.ts'

/** Deeper than this, and whatever else is unusual, is left to JSON.parse. */
const MAX_DEPTH = 64
/** Beyond this, the native search for the end of a string is faster than a loop. */
const LOOP_BYTES = 48

/** Told by their bytes alone: what most messages are. */
const METHODS = ['tools/call', 'tools/list', 'initialize', 'notifications/initialized', 'ping'] as const
const MAX_PLAIN_TEXT = 128
const MAX_PLAIN_DIGITS = 15

const KEYS = ['id', 'method', 'params', 'name'] as const

const QUOTE = 34
const BACKSLASH = 92
const ZERO = 48
const NINE = 57

/**
 * What the gateway wants to know of a JSON-RPC message, read from its bytes without making anything of the rest: to parse a body
 * costs as much as to send it on. Null: a batch, something unusual or something ill-formed, which JSON.parse is to decide.
 * What stands inside of long strings is not looked at: it is the upstream's to refuse where nothing is judged by it.
 */
export function scanRequest(body: Buffer): RpcSummary | null {
  const scan = new Scan(body)
  if (!scan.message()) return null
  try {
    const method = scan.read(scan.method)
    const name = method === 'tools/call' ? scan.read(scan.name) : undefined
    return summaryOf(scan.read(scan.id), method, name)
  } catch {
    return null
  }
}

/** What a body says that nothing is judged by: a JSON-RPC message or batch, else why not. */
export function readRequest(body: Buffer): RpcSummary | UnreadableCode {
  return scanRequest(body) ?? parseRequest(body, false)
}

/** A value's place; `to` 0: there is none. */
type Place = { from: number; to: number }

class Scan {
  readonly id: Place = { from: 0, to: 0 }
  readonly method: Place = { from: 0, to: 0 }
  readonly name: Place = { from: 0, to: 0 }
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  /** null, too, for arrays and objects: none of what we ask for is one, and they may be large. Throws SyntaxError. */
  read({ from, to }: Place): unknown {
    if (to === 0) return undefined
    const first = this.#bytes[from]
    if (first === 0x5b || first === 0x7b) return null
    const plain = first === QUOTE ? this.#plainText(from + 1, to - 1) : this.#plainNumber(from, to)
    return plain ?? JSON.parse(this.#bytes.toString('utf8', from, to))
  }

  /** null: escapes or other than ASCII, or not so short. */
  #plainText(from: number, to: number): string | null {
    for (const method of METHODS) if (method.length === to - from && this.#matches(from, method)) return method
    if (to - from > MAX_PLAIN_TEXT) return null
    for (let i = from; i < to; i++) {
      const byte = this.#bytes[i] ?? 0
      if (byte === BACKSLASH || byte < 32 || byte > 126) return null
    }
    return this.#bytes.toString('latin1', from, to)
  }

  /** null: other than a whole number that JavaScript holds exactly. */
  #plainNumber(from: number, to: number): number | null {
    if (to - from > MAX_PLAIN_DIGITS) return null
    let value = 0
    for (let i = from; i < to; i++) {
      const byte = this.#bytes[i] ?? 0
      if (byte < ZERO || byte > NINE) return null
      value = value * 10 + byte - ZERO
    }
    return value
  }

  /** Whether the bytes are one object; the places are known then. */
  message(): boolean {
    this.#skipBlanks()
    if (this.#bytes[this.#at] !== 0x7b || !this.#object(0, 'message')) return false
    this.#skipBlanks()
    return this.#at === this.#bytes.length
  }

  #object(depth: number, kind: 'message' | 'params' | 'other'): boolean {
    const bytes = this.#bytes
    this.#at += 1
    this.#skipBlanks()
    if (bytes[this.#at] === 0x7d) {
      this.#at += 1
      return true
    }
    for (;;) {
      const from = this.#at
      if (bytes[from] !== QUOTE || !this.#string()) return false
      const key = kind === 'other' ? '' : this.#key(from + 1, this.#at - 1)
      if (key === null) return false
      this.#skipBlanks()
      if (bytes[this.#at] !== 0x3a) return false
      this.#at += 1
      this.#skipBlanks()
      if (!this.#member(depth, kind, key)) return false
      this.#skipBlanks()
      const next = bytes[this.#at]
      this.#at += 1
      if (next === 0x7d) return true
      if (next !== 0x2c) return false
      this.#skipBlanks()
    }
  }

  /** The value of a key. Of a key that is repeated, the last one counts, as with JSON.parse. */
  #member(depth: number, kind: 'message' | 'params' | 'other', key: string): boolean {
    const from = this.#at
    if (kind === 'message' && key === 'params') {
      this.name.to = 0
      if (this.#bytes[from] === 0x7b) return this.#object(depth + 1, 'params')
    }
    if (!this.#value(depth + 1)) return false
    const place = kind === 'params' ? (key === 'name' ? this.name : null) : this.#placeOf(kind, key)
    if (place !== null) {
      place.from = from
      place.to = this.#at
    }
    return true
  }

  #placeOf(kind: 'message' | 'other', key: string): Place | null {
    if (kind === 'other') return null
    return key === 'id' ? this.id : key === 'method' ? this.method : null
  }

  /** Which of our keys it is; '' = another one, null = written with escapes, so that it could be anything. */
  #key(from: number, to: number): string | null {
    for (let i = from; i < to; i++) if (this.#bytes[i] === BACKSLASH) return null
    for (const key of KEYS) if (key.length === to - from && this.#matches(from, key)) return key
    return ''
  }

  #value(depth: number): boolean {
    if (depth > MAX_DEPTH) return false
    switch (this.#bytes[this.#at]) {
      case QUOTE:
        return this.#string()
      case 0x7b:
        return this.#object(depth, 'other')
      case 0x5b:
        return this.#array(depth)
      case 0x74:
        return this.#literal('true')
      case 0x66:
        return this.#literal('false')
      case 0x6e:
        return this.#literal('null')
      default:
        return this.#number()
    }
  }

  #array(depth: number): boolean {
    this.#at += 1
    this.#skipBlanks()
    if (this.#bytes[this.#at] === 0x5d) {
      this.#at += 1
      return true
    }
    for (;;) {
      if (!this.#value(depth + 1)) return false
      this.#skipBlanks()
      const next = this.#bytes[this.#at]
      this.#at += 1
      if (next === 0x5d) return true
      if (next !== 0x2c) return false
      this.#skipBlanks()
    }
  }

  #string(): boolean {
    const bytes = this.#bytes
    const end = bytes.length
    let i = this.#at + 1
    const loopEnd = Math.min(i + LOOP_BYTES, end)
    for (; i < loopEnd; i++) {
      const byte = bytes[i]
      if (byte === BACKSLASH) i += 1
      else if (byte === QUOTE) {
        this.#at = i + 1
        return true
      } else if (byte !== undefined && byte < 32) return false
    }
    const quote = bytes.indexOf(QUOTE, i)
    if (quote === -1) return false
    // Not escaped: no escape begins right before it.
    if (quote === i || bytes[quote - 1] !== BACKSLASH) {
      this.#at = quote + 1
      return true
    }
    for (; i < end; i++) {
      const byte = bytes[i]
      if (byte === BACKSLASH) i += 1
      else if (byte === QUOTE) {
        this.#at = i + 1
        return true
      }
    }
    return false
  }

  #number(): boolean {
    const bytes = this.#bytes
    if (bytes[this.#at] === 0x2d) this.#at += 1
    if (bytes[this.#at] === ZERO) this.#at += 1
    else if (!this.#digits()) return false
    if (bytes[this.#at] === 0x2e) {
      this.#at += 1
      if (!this.#digits()) return false
    }
    if (bytes[this.#at] === 0x65 || bytes[this.#at] === 0x45) {
      this.#at += 1
      if (bytes[this.#at] === 0x2b || bytes[this.#at] === 0x2d) this.#at += 1
      if (!this.#digits()) return false
    }
    return true
  }

  #digits(): boolean {
    const from = this.#at
    for (;;) {
      const byte = this.#bytes[this.#at]
      if (byte === undefined || byte < ZERO || byte > NINE) return this.#at > from
      this.#at += 1
    }
  }

  #literal(text: string): boolean {
    if (!this.#matches(this.#at, text)) return false
    this.#at += text.length
    return true
  }

  #matches(from: number, text: string): boolean {
    for (let i = 0; i < text.length; i++) if (this.#bytes[from + i] !== text.charCodeAt(i)) return false
    return true
  }

  #skipBlanks(): void {
    for (;;) {
      const byte = this.#bytes[this.#at]
      if (byte !== 32 && byte !== 10 && byte !== 13 && byte !== 9) return
      this.#at += 1
    }
  }
}
