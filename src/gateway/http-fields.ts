/** The head of an HTTP/1.1 message, read strictly (RFC 9110 §5, RFC 9112 §5). */

export const MAX_HEAD_BYTES = 16 * 1024
export const END_OF_LINE = Buffer.from('\r\n')
export const END_OF_HEAD = Buffer.from('\r\n\r\n')
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

/** A field's name as it was spelt and in lower case. */
export type FieldName = { raw: string; lower: string }

const CR = 13
const LF = 10
const COLON = 58

type FieldLine = { text: string; name: FieldName; value: string }

/** Heads that are longer, or have more lines, are not remembered: a connection keeps its last one for as long as it lasts. */
const MAX_REMEMBERED = 1024
const MAX_REMEMBERED_LINES = 32

/**
 * Reads the fields of heads that come one after another on one connection. Most of a head's lines stand as they stood in the one
 * before, and are known then: to read them anew costs more than anything else that is done with a small message.
 */
export class FieldReader {
  #before: FieldLine[] = []

  /**
   * Tells of the fields in a head's lines from `from` on, in order, repeated ones too: values without the blanks around them. Each
   * line ends with CR LF. False when a line is no field: a folded one begins with a blank, which no name may hold; a control
   * character, or a line end that is not CR LF, is read by some and not by others (RFC 9112 §2.2, §11.1).
   */
  read(text: string, from: number, tell: (name: FieldName, value: string) => void): boolean {
    const before = this.#before
    let now = before
    let index = 0
    for (let at = from; at < text.length; index++) {
      let line = before[index]
      if (line === undefined || text.slice(at, at + line.text.length) !== line.text) {
        const read = readLine(text, at)
        if (read === null) return false
        if (now === before) now = before.slice(0, index)
        line = read
      }
      if (now !== before) now.push(line)
      tell(line.name, line.value)
      at += line.text.length
    }
    if (now !== before) this.#before = text.length > MAX_REMEMBERED || now.length > MAX_REMEMBERED_LINES ? [] : now
    return true
  }
}

function readLine(text: string, at: number): FieldLine | null {
  const colon = endOfName(text, at)
  const end = endOfValue(text, colon + 1)
  if (colon === -1 || end === -1) return null
  const name = fieldName(text.slice(at, colon))
  return name === null ? null : { text: copied(text.slice(at, end + 2)), name, value: trimmed(text, colon + 1, end) }
}

/** A text of its own, where a part of another one would keep all of that, and be slower to compare. */
function copied(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1')
}

/** Where the colon stands; -1: there is none in the line. */
function endOfName(text: string, from: number): number {
  for (let i = from; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === COLON) return i
    if (code === CR) return -1
  }
  return -1
}

/** Where the line ends with CR LF; -1: nowhere, or it holds what no value may hold. */
function endOfValue(text: string, from: number): number {
  for (let i = from; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === CR) return text.charCodeAt(i + 1) === LF ? i : -1
    if ((code < 32 && !isBlank(code)) || code === 127) return -1
  }
  return -1
}

const names = new Map<string, FieldName>()
const MAX_NAMES = 1_024

/** null: no token. */
function fieldName(raw: string): FieldName | null {
  const known = names.get(raw)
  if (known !== undefined) return known
  if (!TOKEN.test(raw)) return null
  const name = { raw, lower: asKey(raw.toLowerCase()) }
  // Programs use few names; one that makes up many does not fill our memory.
  if (names.size < MAX_NAMES && raw.length <= 64) names.set(raw, name)
  return name
}

/** The same text as V8 keeps the names of properties: it need not be looked for at every object that gets one of this name. */
function asKey(text: string): string {
  return Object.keys({ [text]: 0 })[0] ?? text
}

function trimmed(text: string, from: number, to: number): string {
  let start = from
  let end = to
  while (start < end && isBlank(text.charCodeAt(start))) start += 1
  while (end > start && isBlank(text.charCodeAt(end - 1))) end -= 1
  return text.slice(start, end)
}

function isBlank(code: number): boolean {
  return code === 32 || code === 9
}

const ZERO = 48
const NINE = 57
const MAX_DIGITS = 15

/** A number written in digits only, as Content-Length is; null: it is not, or has more than 15 of them. */
export function wholeNumber(text: string): number | null {
  if (text.length === 0 || text.length > MAX_DIGITS) return null
  let value = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < ZERO || code > NINE) return null
    value = value * 10 + code - ZERO
  }
  return value
}

const NOT_IN_NAME = /[^!#$%&'*+\-.^_`|~0-9A-Za-z]/
/** What a value may not hold: it would end the line, or mean different things to different readers. */
const NOT_IN_VALUE = /[^\t\x20-\x7e\x80-\xff]/

/** The lines of fields, flat (name, value, …). Throws TypeError for what cannot be sent. */
export function fieldLines(fields: readonly string[]): string {
  let lines = ''
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = fields[i] ?? ''
    const value = fields[i + 1] ?? ''
    if (name === '' || NOT_IN_NAME.test(name)) throw new TypeError('The name of a header cannot be sent.')
    if (NOT_IN_VALUE.test(value)) throw new TypeError('The value of a header cannot be sent.')
    lines += `${name}: ${value}\r\n`
  }
  return lines
}
