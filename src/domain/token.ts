import { randomInt } from 'node:crypto'
import { crc32 } from 'node:zlib'

/** Gateway tokens (`tfg_`) and API keys (`tfa_`): a prefix that scanners know, 32 random characters, 6 that catch a typo. */

export type TokenKind = 'tfg' | 'tfa'

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const RANDOM_LENGTH = 32
const CHECK_LENGTH = 6
const FORMAT = /^(tf[ga])_([0-9A-Za-z]{32})([0-9A-Za-z]{6})$/

/** A custom token shorter than this could be guessed. */
const MIN_CUSTOM_LENGTH = 16
/** Dify stores a header in a column of 2,000 characters, "Bearer " included. */
const MAX_CUSTOM_LENGTH = 1900
const MIN_DIFFERENT = 8

/** A new secret with 190 bits of randomness. */
export function mintToken(kind: TokenKind): string {
  let random = ''
  for (let index = 0; index < RANDOM_LENGTH; index++) random += ALPHABET[randomInt(ALPHABET.length)]
  const body = `${kind}_${random}`
  return body + checkCharacters(body)
}

/** The kind of a token of ours that is whole, else null (any other text, or a typo in it). */
export function checkTokenFormat(text: string): TokenKind | null {
  const match = FORMAT.exec(text)
  if (match === null) return null
  const body = text.slice(0, -CHECK_LENGTH)
  if (checkCharacters(body) !== match[3]) return null
  return match[1] === 'tfa' ? 'tfa' : 'tfg'
}

/** The first characters: enough to tell tokens apart, far too few to use one. At most 8, never more than a third. */
export function visibleStart(token: string): string {
  return token.slice(0, Math.min(8, Math.floor(token.length / 3)))
}

/** What an admin pasted, without the spaces around it and a leading "Bearer ": that word is added when the token is sent. */
export function normaliseToken(text: string): string {
  return text.trim().replace(/^bearer +/i, '')
}

/**
 * Whether a token that an admin entered can be sent in a header and is not one that anybody would try. `reason` is for
 * people and never repeats the token. Give it a normalised one.
 */
export function judgeCustomToken(text: string): { ok: true } | { ok: false; reason: string } {
  const reason = whyUnsendable(text) ?? whyGuessable(text)
  return reason === null ? { ok: true } : { ok: false, reason }
}

function whyUnsendable(text: string): string | null {
  if (text.length > MAX_CUSTOM_LENGTH)
    return `It is too long: at most ${MAX_CUSTOM_LENGTH.toLocaleString('en')} characters.`
  if (text !== text.trim()) return 'It begins or ends with a space.'
  if (!/^[\x20-\x7e]*$/.test(text)) {
    return 'A header can carry only visible ASCII characters: no line breaks, accents or other scripts.'
  }
  if (text.includes('{{')) return 'It contains "{{", which Dify would take for a template.'
  if (/^bearer( |$)/i.test(text)) return 'Leave out the word Bearer; it is added when the token is sent.'
  if (/^tf[ga]_/.test(text) && checkTokenFormat(text) === null) {
    return 'It looks like a token of Toolferry with a typo in it: its check characters do not fit.'
  }
  if (text.startsWith('tfa_')) return 'This is an API key of Toolferry; it must not leave for a platform.'
  return null
}

function whyGuessable(text: string): string | null {
  if (text.length < MIN_CUSTOM_LENGTH) return `It is too short: at least ${MIN_CUSTOM_LENGTH} characters.`
  const different = new Set(text.toLowerCase()).size
  if (different === 1) return 'It is one character repeated.'
  if (isRepetition(text)) return 'It is a short piece repeated.'
  if (isSequence(text)) return 'It is mostly an obvious sequence such as 123456 or abcdef.'
  if (different < MIN_DIFFERENT) {
    return `It has only ${different} different characters: at least ${MIN_DIFFERENT} (capitals and small letters count as one).`
  }
  return null
}

/** "abcabcabcabc…": a piece of at most 8 characters, again and again. */
function isRepetition(text: string): boolean {
  for (let size = 2; size <= 8; size++) {
    if ([...text].every((character, index) => character === text[index % size])) return true
  }
  return false
}

const KEYBOARD_ROWS = ['qwertyuiop', 'asdfghjkl', 'zxcvbnm', '1234567890']

/** True when three quarters of the steps from one character to the next go one up or down the alphabet or the keyboard. */
function isSequence(text: string): boolean {
  const lower = text.toLowerCase()
  let steps = 0
  for (let index = 1; index < lower.length; index++) {
    const pair = lower.slice(index - 1, index + 1)
    const distance = pair.charCodeAt(1) - pair.charCodeAt(0)
    const reversed = `${pair[1]}${pair[0]}`
    const onKeyboard = KEYBOARD_ROWS.some((row) => row.includes(pair) || row.includes(reversed))
    if (Math.abs(distance) === 1 || onKeyboard) steps++
  }
  return steps >= (lower.length - 1) * 0.75
}

/** CRC-32 of the text before them, in base62, padded with zeros: 62^6 is more than 2^32. */
function checkCharacters(body: string): string {
  let rest = crc32(body)
  let text = ''
  for (let index = 0; index < CHECK_LENGTH; index++) {
    text = ALPHABET[rest % ALPHABET.length] + text
    rest = Math.floor(rest / ALPHABET.length)
  }
  return text
}
