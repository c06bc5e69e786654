import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { decryptDifyValue, openEax } from '../../demo/dify/decrypt.ts'
import { encryptInPython } from './pycryptodome.ts'

const KEY = Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex')
const NONCE = Buffer.from('101112131415161718191a1b1c1d1e1f', 'hex')

/** dify.md §2.3, made with PyCryptodome. */
const VECTORS = [
  { plaintext: Buffer.alloc(0), ciphertext: '', tag: '3fd64d3b993873ab43472f44494c9988' },
  { plaintext: Buffer.from('a'), ciphertext: 'ef', tag: 'c135b06bd209f841119fee42e2e70490' },
  {
    plaintext: Buffer.from('http://gateway.example/mcp'),
    ciphertext: 'e667106ca3261b9fa1e8ff0384a293fc1c88b4ca6070e38bcbdc',
    tag: '2f72408419ddca8467182afe993561d6',
  },
  {
    plaintext: Buffer.from(Array.from({ length: 48 }, (_, index) => index)),
    ciphertext: '8e12661f9d0c32ffc895907fe9d6b39674f8cba91800daf1b0b59d326de0567be5cc71385ea915c2ce61e1ee32c02482',
    tag: '552a5c718f0615e66bd3f746b862482a',
  },
  {
    plaintext: Buffer.from('Bearer τοκεν'),
    ciphertext: 'cc76056efc7b1437445225ba5f150857d9',
    tag: 'd9db9438357113e1551ce69d084eb4de',
  },
]

test.each(VECTORS)('opens the EAX vector of $tag', ({ plaintext, ciphertext, tag }) => {
  const opened = openEax(KEY, NONCE, Buffer.from(tag, 'hex'), Buffer.from(ciphertext, 'hex'))
  expect(opened.equals(plaintext)).toBe(true)
})

test('refuses a changed ciphertext and a changed tag', () => {
  const tag = Buffer.from('c135b06bd209f841119fee42e2e70490', 'hex')
  expect(() => openEax(KEY, NONCE, tag, Buffer.from('ee', 'hex'))).toThrow('MAC check failed')
  expect(() => openEax(KEY, NONCE, Buffer.alloc(16), Buffer.from('ef', 'hex'))).toThrow('MAC check failed')
})

describe.each([2048, 3072])('values that PyCryptodome encrypted for an RSA key of %d bits', (modulusLength) => {
  const keys = generateKeyPairSync('rsa', {
    modulusLength,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  })
  const texts = ['', 'Bearer τοκεν 🔗', ...Array.from({ length: 80 }, (_, index) => 'x'.repeat(index * 7))]
  const stored = encryptInPython(keys.publicKey, texts)

  test('are opened, at every length', () => {
    expect(stored.map((value) => decryptDifyValue(value, keys.privateKey))).toEqual(texts)
  })

  test('are refused with another key, or when a bit has changed', () => {
    const value = stored[1] ?? ''
    const other = generateKeyPairSync('rsa', {
      modulusLength,
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
    })
    expect(() => decryptDifyValue(value, other.privateKey)).toThrow()
    const changed = Buffer.from(value, 'base64')
    changed.writeUInt8(changed.readUInt8(changed.length - 1) ^ 1, changed.length - 1)
    expect(() => decryptDifyValue(changed.toString('base64'), keys.privateKey)).toThrow('MAC check failed')
    expect(() => decryptDifyValue('plain text', keys.privateKey)).toThrow('not base64')
    expect(() => decryptDifyValue(Buffer.from('plain').toString('base64'), keys.privateKey)).toThrow('HYBRID:')
  })
})
