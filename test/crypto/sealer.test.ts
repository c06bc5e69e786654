import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createKeyring } from '../../src/crypto/keyring.ts'
import { createSealer, SealError } from '../../src/crypto/sealer.ts'

const place = { table: 'McpInstance', column: 'sealedHeaders', rowId: 'row-1' }

function reasonOf(work: () => unknown): string {
  try {
    work()
  } catch (error) {
    if (error instanceof SealError) return error.reason
    throw error
  }
  return 'opened'
}

describe('the sealer', () => {
  const key = randomBytes(32)
  const sealer = createSealer(createKeyring(key))

  it('opens what it sealed, whatever it was', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 3000 }), (text) => {
        const sealed = sealer.seal(place, text)
        expect(sealer.open(place, sealed)).toBe(text)
        expect(sealed).toMatch(/^v1:[0-9a-f]{8}:[A-Za-z0-9+/]+=*$/)
      }),
    )
  })

  it('seals the same text differently every time', () => {
    expect(sealer.seal(place, 'x')).not.toBe(sealer.seal(place, 'x'))
  })

  it.each([
    ['row', { ...place, rowId: 'row-2' }],
    ['column', { ...place, column: 'sealedDefaultPassThrough' }],
    ['table', { ...place, table: 'Binding' }],
  ])('does not open in another %s', (_, other) => {
    const sealed = sealer.seal(place, 'secret')
    expect(reasonOf(() => sealer.open(other, sealed))).toBe('not_authentic')
  })

  it('does not open when a single bit was changed', () => {
    const sealed = sealer.seal(place, 'a secret of some length')
    const [version, id, body = ''] = sealed.split(':')
    const bytes = Buffer.from(body, 'base64')
    for (let index = 0; index < bytes.length; index++) {
      const changed = Buffer.from(bytes)
      changed[index] = (changed[index] ?? 0) ^ 1
      const text = `${version}:${id}:${changed.toString('base64')}`
      expect(reasonOf(() => sealer.open(place, text))).toBe('not_authentic')
    }
  })

  it('does not open a shortened tag or text', () => {
    const [version, id, body = ''] = sealer.seal(place, 'secret').split(':')
    const bytes = Buffer.from(body, 'base64')
    for (let length = 0; length < bytes.length; length++) {
      const text = `${version}:${id}:${bytes.subarray(0, length).toString('base64')}`
      expect(['format', 'not_authentic']).toContain(reasonOf(() => sealer.open(place, text)))
    }
  })

  it.each(['', 'secret', 'v2:00000000:AAAA', 'v1:00000000', 'v1:00000000:AAAA', 'v1::'])('refuses %j', (text) => {
    expect(reasonOf(() => sealer.open(place, text))).toBe('format')
  })

  it('tells an unknown key from a wrong text', () => {
    const other = createSealer(createKeyring(randomBytes(32)))
    expect(reasonOf(() => other.open(place, sealer.seal(place, 'x')))).toBe('unknown_key')
    // The id of a key is not enough: it takes part in what is authenticated.
    const [, , body] = sealer.seal(place, 'x').split(':')
    const renamed = `v1:${createKeyring(randomBytes(32)).current.id}:${body}`
    expect(reasonOf(() => sealer.open(place, renamed))).toBe('unknown_key')
  })

  it('opens what a retired key sealed, and says that it is stale', () => {
    const next = createSealer(createKeyring(randomBytes(32), [key]))
    const sealed = sealer.seal(place, 'x')
    expect(next.open(place, sealed)).toBe('x')
    expect(next.isStale(sealed)).toBe(true)
    expect(next.isStale(next.seal(place, 'x'))).toBe(false)
  })

  it('never tells the plaintext in an error', () => {
    const sealed = sealer.seal(place, 'canary-value')
    try {
      sealer.open({ ...place, rowId: 'other' }, sealed)
      expect.unreachable()
    } catch (error) {
      expect(String(error)).not.toContain('canary-value')
    }
  })
})
