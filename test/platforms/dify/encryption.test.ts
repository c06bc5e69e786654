import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { ToolferryError } from '../../../src/domain/errors.ts'
import { eaxEncrypt, encryptionFault, encryptToken, parseWorkspaceKey } from '../../../src/platforms/dify/encryption.ts'
import { decryptAll, newTestKey, testKey } from '../../support/dify-database.ts'

describe('AES-EAX', () => {
  const key = Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex')
  const nonce = Buffer.from('101112131415161718191a1b1c1d1e1f', 'hex')

  it.each([
    ['nothing', Buffer.alloc(0), '', '3fd64d3b993873ab43472f44494c9988'],
    ['one byte', Buffer.from('a'), 'ef', 'c135b06bd209f841119fee42e2e70490'],
    [
      'a URL',
      Buffer.from('http://gateway.example/mcp'),
      'e667106ca3261b9fa1e8ff0384a293fc1c88b4ca6070e38bcbdc',
      '2f72408419ddca8467182afe993561d6',
    ],
    [
      '48 bytes',
      Buffer.from(Array.from({ length: 48 }, (_, i) => i)),
      '8e12661f9d0c32ffc895907fe9d6b39674f8cba91800daf1b0b59d326de0567be5cc71385ea915c2ce61e1ee32c02482',
      '552a5c718f0615e66bd3f746b862482a',
    ],
    [
      'non-ASCII',
      Buffer.from('Bearer τοκεν'),
      'cc76056efc7b1437445225ba5f150857d9',
      'd9db9438357113e1551ce69d084eb4de',
    ],
  ])('encrypts %s as the vectors of dify.md §2.3 say', (_name, plaintext, ciphertext, tag) => {
    const result = eaxEncrypt(key, nonce, plaintext)
    expect(result.ciphertext.toString('hex')).toBe(ciphertext)
    expect(result.tag.toString('hex')).toBe(tag)
  })
})

describe('encryptToken, read by PyCryptodome', () => {
  it.each([2048, 3072, 4096])(
    'is right for every length 0…600 and 4096, and for non-ASCII, with a key of %i bits',
    async (bits) => {
      const { publicKeyPem, privateKeyPem } = testKey(bits)
      const key = parseWorkspaceKey(publicKeyPem)
      const texts = [
        ...Array.from({ length: 601 }, (_, length) => sampleText(length)),
        sampleText(4096),
        'Bearer τοκεν',
        '密钥🔑'.repeat(50),
      ]
      const tokens = texts.map((text) => encryptToken(key, text))
      const decrypted = await decryptAll(tokens, privateKeyPem)
      expect(decrypted.map(({ text }) => text)).toEqual(texts)
      expect(tokens.map((token, i) => encryptionFault(token, key, texts[i]))).toEqual(texts.map(() => null))
    },
  )

  it.each([
    ['without a trailing newline', (pem: string) => pem],
    ['with a trailing newline', (pem: string) => `${pem}\n`],
    ['with \\r\\n', (pem: string) => `${pem.replaceAll('\n', '\r\n')}\r\n`],
    ['with blank lines around', (pem: string) => `\n\n${pem}\n\n`],
  ])('takes a PEM %s', async (_name, variant) => {
    const { publicKeyPem, privateKeyPem } = testKey()
    const pem = variant(publicKeyPem)
    expect(parseWorkspaceKey(pem).digest).toBe(parseWorkspaceKey(publicKeyPem).digest)
    expect(await decryptAll([encryptToken(pem, 'hello')], privateKeyPem)).toEqual([{ text: 'hello' }])
  })

  it('never gives the same text, key or nonce twice', () => {
    const { publicKeyPem } = testKey()
    const [first, second] = [1, 2].map(() => Buffer.from(encryptToken(publicKeyPem, 'the same text'), 'base64'))
    const part = (bytes: Buffer | undefined, from: number, to: number): string | undefined =>
      bytes?.subarray(from, to).toString('hex')
    expect(part(first, 7, 263)).not.toBe(part(second, 7, 263))
    expect(part(first, 263, 279)).not.toBe(part(second, 263, 279))
    expect(part(first, 295, 400)).not.toBe(part(second, 295, 400))
  })

  it('gives what another key, or a flipped bit, does not decrypt', async () => {
    const { publicKeyPem, privateKeyPem } = testKey()
    const token = encryptToken(publicKeyPem, 'secret')
    const flipped = Buffer.from(token, 'base64')
    flipped[flipped.length - 1] = (flipped.at(-1) ?? 0) ^ 1
    const [tampered] = await decryptAll([flipped.toString('base64')], privateKeyPem)
    expect(tampered?.error).toMatch(/MAC check failed/)
    const [foreign] = await decryptAll([token], newTestKey().privateKeyPem)
    // Which of the two depends on whose modulus is larger.
    expect(foreign?.error).toMatch(/Incorrect decryption|Ciphertext too large/)
  })
})

describe('parseWorkspaceKey', () => {
  const small = generateKeyPairSync('rsa', {
    modulusLength: 1024,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  })
  const elliptic = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  it.each([
    ['an empty text', '', /no encryption key/],
    ['no PEM', 'ssh-rsa AAAA', /not a PEM public key/],
    ['a damaged PEM', '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----', /cannot be read/],
    ['a private key', testKey().privateKeyPem, /not a PEM public key/],
    ['1024 bits', small.publicKey, /1024 bits; at least 2048/],
    ['an elliptic curve', elliptic.publicKey, /not an RSA key/],
  ])('refuses %s', (_name, pem, message) => {
    expect(() => parseWorkspaceKey(pem)).toThrow(message)
    expect(() => parseWorkspaceKey(pem)).toThrow(ToolferryError)
  })
})

describe('encryptionFault', () => {
  it('finds what Dify could not read', () => {
    const key = parseWorkspaceKey(testKey().publicKeyPem)
    const token = encryptToken(key, 'hello')
    expect(encryptionFault(token, key, 'hello!')).toMatch(/length/)
    expect(encryptionFault(`${token}\n`, key)).toMatch(/base64/)
    expect(encryptionFault(Buffer.from('Bearer x'.repeat(60)).toString('base64'), key)).toMatch(/prefix/)
    expect(encryptionFault(Buffer.from('HYBRID:short').toString('base64'), key)).toMatch(/short/)
  })
})

function sampleText(length: number): string {
  return Array.from({ length }, (_, i) => String.fromCharCode(33 + ((i * 7 + length) % 90))).join('')
}
