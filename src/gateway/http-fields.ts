/** The head of an HTTP/1.1 message, read strictly (RFC 9110 §5, RFC 9112 §5). */

export const MAX_HEAD_BYTES = 16 * 1024
export const END_OF_HEAD = Buffer.from('\r\n\r\n')
/** Control characters, and line ends that are not CR LF: readers disagree about them (RFC 9112 §2.2, §11.1). */
export const ILL_FORMED = /[^\t\r\n\x20-\x7e\x80-\xff]|\r(?!\n)|(?<!\r)\n/

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

/** A field's name as it was spelt and in lower case. */
export type FieldName = { raw: string; lower: string }

/**
 * Tells of the fields in a head's lines from `from` on, in order, repeated ones too: values without the blanks around them. `text`
 * is known not to be ILL_FORMED. False when a line is no field; a folded one begins with a blank, which no name may hold.
 */
export function eachField(text: string, from: number, tell: (name: FieldName, value: string) => void): boolean {
  let at = from
  while (at < text.length) {
    const found = text.indexOf('\r\n', at)
    const end = found === -1 ? text.length : found
    const colon = text.indexOf(':', at)
    if (colon === -1 || colon >= end) return false
    const name = fieldName(text.slice(at, colon))
    if (name === null) return false
    tell(name, trimmed(text, colon + 1, end))
    at = end + 2
  }
  return true
}

const names = new Map<string, FieldName>()
const MAX_NAMES = 1_024

/** null: no token. */
function fieldName(raw: string): FieldName | null {
  const known = names.get(raw)
  if (known !== undefined) return known
  if (!TOKEN.test(raw)) return null
  const name = { raw, lower: raw.toLowerCase() }
  // Programs use few names; one that makes up many does not fill our memory.
  if (names.size < MAX_NAMES && raw.length <= 64) names.set(raw, name)
  return name
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
