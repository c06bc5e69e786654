import {
  constants,
  createCipheriv,
  createHash,
  createPublicKey,
  type KeyObject,
  publicEncrypt,
  randomBytes,
} from 'node:crypto'
import { ToolferryError } from '../../domain/errors.ts'

/**
 * Dify's encryption of provider values: base64("HYBRID:" ‖ RSA-OAEP-SHA1(AES key) ‖ nonce ‖ tag ‖ ciphertext), AES-128-EAX
 * (dify.md §2). Only the workspace's public key is needed, and only that is ever touched.
 */

const PREFIX = Buffer.from('HYBRID:', 'ascii')
const BLOCK_BYTES = 16
const MIN_MODULUS_BITS = 2048

export type WorkspaceKey = {
  key: KeyObject
  /** The modulus' size, which is the size of the encrypted AES key; not always 256. */
  modulusBytes: number
  /** SHA-256 of the key itself (DER), hex: the same however the PEM is wrapped. */
  digest: string
}

export type EaxResult = { ciphertext: Buffer; tag: Buffer }

/**
 * Reads `tenants.encrypt_public_key`: PEM with or without a trailing newline, with \n or \r\n.
 * Throws InvalidDesiredState (without the key's text) for anything but an RSA public key of at least 2048 bits.
 */
export function parseWorkspaceKey(pem: string): WorkspaceKey {
  const known = parsedKeys.get(pem)
  if (known !== undefined) return known
  const key = readWorkspaceKey(pem)
  if (parsedKeys.size >= KEPT_KEYS) parsedKeys.clear()
  parsedKeys.set(pem, key)
  return key
}

/** Every provider of a workspace is written with the same key, read anew from its row each time; reading it takes half a millisecond. */
const parsedKeys = new Map<string, WorkspaceKey>()
const KEPT_KEYS = 100

function readWorkspaceKey(pem: string): WorkspaceKey {
  const text = pem.replaceAll('\r\n', '\n').trim()
  if (text === '') throw new ToolferryError('InvalidDesiredState', 'The workspace has no encryption key.')
  if (!/^-----BEGIN (RSA )?PUBLIC KEY-----/.test(text)) {
    throw new ToolferryError('InvalidDesiredState', 'The workspace’s encryption key is not a PEM public key.')
  }
  let key: KeyObject
  try {
    key = createPublicKey(text)
  } catch {
    // The parser's own message may quote the input.
    throw new ToolferryError('InvalidDesiredState', 'The workspace’s encryption key cannot be read as a public key.')
  }
  if (key.asymmetricKeyType !== 'rsa') {
    throw new ToolferryError('InvalidDesiredState', 'The workspace’s encryption key is not an RSA key.')
  }
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0
  if (bits < MIN_MODULUS_BITS) {
    throw new ToolferryError(
      'InvalidDesiredState',
      `The workspace’s encryption key has ${bits} bits; at least ${MIN_MODULUS_BITS} are needed.`,
    )
  }
  const digest = createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('hex')
  return { key, modulusBytes: Math.ceil(bits / 8), digest }
}

/** `plaintext` for the workspace's eyes only, as Dify stores it. Every call gives another text. */
export function encryptToken(publicKey: string | WorkspaceKey, plaintext: string): string {
  const { key } = typeof publicKey === 'string' ? parseWorkspaceKey(publicKey) : publicKey
  const aesKey = randomBytes(BLOCK_BYTES)
  const nonce = randomBytes(BLOCK_BYTES)
  const wrappedKey = publicEncrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha1' }, aesKey)
  const { ciphertext, tag } = eaxEncrypt(aesKey, nonce, Buffer.from(plaintext, 'utf8'))
  return Buffer.concat([PREFIX, wrappedKey, nonce, tag, ciphertext]).toString('base64')
}

/**
 * What can be told of a stored value without the private key: null when it has the right prefix and, where the plaintext is
 * known, the right length; otherwise what is wrong (dify.md §10, post-write self-check).
 */
export function encryptionFault(stored: string, key: WorkspaceKey, plaintext?: string): string | null {
  const bytes = Buffer.from(stored, 'base64')
  if (bytes.toString('base64') !== stored) return 'it is not plain base64'
  if (!bytes.subarray(0, PREFIX.length).equals(PREFIX)) return 'it lacks the HYBRID prefix'
  const overheadBytes = PREFIX.length + key.modulusBytes + 2 * BLOCK_BYTES
  if (bytes.length < overheadBytes) return 'it is too short'
  if (plaintext !== undefined && bytes.length !== overheadBytes + Buffer.byteLength(plaintext, 'utf8')) {
    return 'its length does not fit the plaintext'
  }
  return null
}

/** AES-128-EAX without associated data, made of AES-CBC (for the MACs) and AES-CTR (dify.md §2.3). */
export function eaxEncrypt(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array): EaxResult {
  const subkeys = cmacSubkeys(key)
  const nonceMac = omac(key, subkeys, 0, nonce)
  const headerMac = omac(key, subkeys, 1, new Uint8Array(0))
  const ctr = createCipheriv('aes-128-ctr', key, nonceMac)
  const ciphertext = Buffer.concat([ctr.update(plaintext), ctr.final()])
  const textMac = omac(key, subkeys, 2, ciphertext)
  return { ciphertext, tag: xor(xor(nonceMac, headerMac), textMac) }
}

type Subkeys = { whole: Buffer; padded: Buffer }

/** OMAC_t(message) = CMAC(key, 15 zero bytes ‖ t ‖ message). */
function omac(key: Uint8Array, subkeys: Subkeys, domain: number, message: Uint8Array): Buffer {
  const domainBlock = Buffer.alloc(BLOCK_BYTES)
  domainBlock[BLOCK_BYTES - 1] = domain
  return cmac(key, subkeys, Buffer.concat([domainBlock, message]))
}

/** CMAC (RFC 4493) of a message that is never empty here. */
function cmac(key: Uint8Array, subkeys: Subkeys, message: Buffer): Buffer {
  const lastStart = Math.floor((message.length - 1) / BLOCK_BYTES) * BLOCK_BYTES
  const rest = message.subarray(lastStart)
  const lastBlock =
    rest.length === BLOCK_BYTES
      ? xor(rest, subkeys.whole)
      : xor(Buffer.concat([rest, Buffer.from([0x80]), Buffer.alloc(BLOCK_BYTES - 1 - rest.length)]), subkeys.padded)
  return lastCbcBlock(key, Buffer.concat([message.subarray(0, lastStart), lastBlock]))
}

function cmacSubkeys(key: Uint8Array): Subkeys {
  const whole = doubled(lastCbcBlock(key, Buffer.alloc(BLOCK_BYTES)))
  return { whole, padded: doubled(whole) }
}

/** CBC-MAC with a zero IV: the last block is the MAC. */
function lastCbcBlock(key: Uint8Array, blocks: Buffer): Buffer {
  const cbc = createCipheriv('aes-128-cbc', key, Buffer.alloc(BLOCK_BYTES)).setAutoPadding(false)
  return Buffer.concat([cbc.update(blocks), cbc.final()]).subarray(-BLOCK_BYTES)
}

/** Multiplication by x in GF(2^128). */
function doubled(block: Buffer): Buffer {
  const result = Buffer.alloc(BLOCK_BYTES)
  let carry = 0
  for (let i = BLOCK_BYTES - 1; i >= 0; i -= 1) {
    const byte = block[i] ?? 0
    result[i] = ((byte << 1) & 0xff) | carry
    carry = byte >> 7
  }
  if (carry === 1) result[BLOCK_BYTES - 1] = (result[BLOCK_BYTES - 1] ?? 0) ^ 0x87
  return result
}

function xor(a: Buffer, b: Buffer): Buffer {
  return Buffer.from(a.map((byte, i) => byte ^ (b[i] ?? 0)))
}
