import {
  constants,
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  privateDecrypt,
  timingSafeEqual,
} from 'node:crypto'

/**
 * What Dify does to read its own columns (dify.md §2.2, §2.3), written here a second time and on purpose without the
 * product's module: a mistake made on both sides of one piece of code would prove nothing.
 */

const PREFIX = Buffer.from('HYBRID:')

/** Opens a value that Dify's `encrypter` made: base64("HYBRID:" ‖ RSA-OAEP-SHA1(key) ‖ nonce ‖ tag ‖ ciphertext). Throws if it is not one, was made for another key, or was changed. */
export function decryptDifyValue(stored: string, privateKeyPem: string): string {
  const blob = Buffer.from(stored, 'base64')
  if (blob.toString('base64') !== stored) throw new Error('The stored value is not base64.')
  if (!blob.subarray(0, PREFIX.length).equals(PREFIX)) throw new Error('The stored value does not start with HYBRID:.')
  const rest = blob.subarray(PREFIX.length)
  // RSA's part is as long as the modulus, so all that is known before decrypting is the key's size.
  const keySizeBytes = modulusSizeBytes(privateKeyPem)
  const key = privateDecrypt(
    { key: privateKeyPem, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha1' },
    rest.subarray(0, keySizeBytes),
  )
  const nonce = rest.subarray(keySizeBytes, keySizeBytes + 16)
  const tag = rest.subarray(keySizeBytes + 16, keySizeBytes + 32)
  const plaintext = openEax(key, nonce, tag, rest.subarray(keySizeBytes + 32))
  return new TextDecoder('utf-8', { fatal: true }).decode(plaintext)
}

/** AES-EAX without associated data (dify.md §2.3). Throws when the tag does not match. */
export function openEax(key: Buffer, nonce: Buffer, tag: Buffer, ciphertext: Buffer): Buffer {
  const counter = omac(key, 0, nonce)
  const expected = xor(xor(counter, omac(key, 1, Buffer.alloc(0))), omac(key, 2, ciphertext))
  if (tag.length !== 16 || !timingSafeEqual(expected, tag)) throw new Error('MAC check failed')
  const stream = createDecipheriv(`aes-${key.length * 8}-ctr`, key, counter)
  return Buffer.concat([stream.update(ciphertext), stream.final()])
}

/** OMAC_t(m) = CMAC(K, 15×00 ‖ t ‖ m). CMAC is the last block of AES-CBC over the padded text with a subkey mixed in (RFC 4493). */
function omac(key: Buffer, tweak: number, text: Buffer): Buffer {
  const prefix = Buffer.alloc(16)
  prefix.writeUInt8(tweak, 15)
  const whole = Buffer.concat([prefix, text])
  const isComplete = whole.length % 16 === 0
  const padded = isComplete
    ? whole
    : Buffer.concat([whole, Buffer.from([0x80]), Buffer.alloc(15 - (whole.length % 16))])
  const subkey1 = double(cbc(key, Buffer.alloc(16)))
  const subkey = isComplete ? subkey1 : double(subkey1)
  const last = xor(padded.subarray(-16), subkey)
  return cbc(key, Buffer.concat([padded.subarray(0, -16), last])).subarray(-16)
}

function cbc(key: Buffer, text: Buffer): Buffer {
  const cipher = createCipheriv(`aes-${key.length * 8}-cbc`, key, Buffer.alloc(16)).setAutoPadding(false)
  return Buffer.concat([cipher.update(text), cipher.final()])
}

/** Doubling in GF(2^128). */
function double(block: Buffer): Buffer {
  const value = (BigInt(`0x${block.toString('hex')}`) << 1n) & ((1n << 128n) - 1n)
  const carried = (block.readUInt8(0) & 0x80) === 0 ? value : value ^ 0x87n
  return Buffer.from(carried.toString(16).padStart(32, '0'), 'hex')
}

function xor(a: Buffer, b: Buffer): Buffer {
  return Buffer.from(a.map((byte, index) => byte ^ (b[index] ?? 0)))
}

function modulusSizeBytes(privateKeyPem: string): number {
  const bits = createPrivateKey(privateKeyPem).asymmetricKeyDetails?.modulusLength
  if (bits === undefined) throw new Error('The private key is not an RSA key.')
  return Math.ceil(bits / 8)
}
