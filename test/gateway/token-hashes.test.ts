import { expect, it } from 'vitest'
import { createTokenHashes } from '../../src/gateway/token-hashes.ts'

it('hashes of tokens in use are made once, are bounded, and are forgotten together', () => {
  let made = 0
  const hashes = createTokenHashes((token) => {
    made += 1
    return `hash of ${token}`
  }, 2)
  // A token that was not said to be known is hashed again every time.
  expect([hashes.of('a'), hashes.of('a'), made]).toEqual(['hash of a', 'hash of a', 2])
  for (const token of ['a', 'b']) hashes.keep(token, `hash of ${token}`)
  expect([hashes.of('a'), hashes.of('b'), made]).toEqual(['hash of a', 'hash of b', 2])
  hashes.keep('c', 'hash of c')
  expect([hashes.of('c'), hashes.of('a'), made]).toEqual(['hash of c', 'hash of a', 3])
  hashes.clear()
  expect([hashes.of('c'), made]).toEqual(['hash of c', 4])
})
