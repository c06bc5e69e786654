import { describe, expect, it } from 'vitest'
import { retryAfterMs } from '../../src/domain/retry-after.ts'

const NOW = Date.UTC(2026, 0, 1)

describe('Retry-After', () => {
  it.each([
    ['7', 7_000],
    [' 7 ', 7_000],
    [new Date(NOW + 90_000).toUTCString(), 90_000],
    ['999999999999', 3_600_000],
    ['9'.repeat(400), 3_600_000],
    [new Date(NOW + 10 * 365 * 86_400_000).toUTCString(), 3_600_000],
    // No wish: the usual wait.
    ['0', undefined],
    [new Date(NOW - 1_000).toUTCString(), undefined],
    ['soon', undefined],
    ['-5', undefined],
    ['', undefined],
    [null, undefined],
    [['1', '2'], undefined],
  ])('%j is heeded as %s ms', (header, waitMs) => {
    expect(retryAfterMs(header, NOW)).toBe(waitMs)
  })

  it('is heeded for as long as its reader can wait', () => {
    expect(retryAfterMs('7200', NOW, 6 * 3_600_000)).toBe(7_200_000)
  })
})
