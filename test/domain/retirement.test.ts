import { describe, expect, it } from 'vitest'
import { retirementOf, USE_LAG_MS } from '../../src/domain/retirement.ts'
import { mayRunForTools, toolsPolicyOf } from '../../src/domain/tool-change.ts'

const now = new Date('2026-05-01T12:00:00Z')
const ago = (ms: number) => new Date(now.getTime() - ms)
const HOUR = 3_600_000

describe('a replaced token', () => {
  const stage = (supersededAt: Date | null, lastUsedAt: Date | null, graceSeconds: number | null = null) =>
    retirementOf({ supersededAt, lastUsedAt, graceSeconds }, 3600, now)

  it.each([
    ['its platform may still hold it', null, ago(0), 'waiting'],
    ['seen replaced a moment ago, never used', ago(1), null, 'grace'],
    ['seen replaced long ago, never used', ago(2 * HOUR), null, 'over'],
    ['used before it was replaced only', ago(2 * HOUR), ago(3 * HOUR), 'over'],
    ['used within the grace period', ago(2 * HOUR), ago(HOUR / 2), 'still_used'],
    ['used, and the grace period still runs', ago(HOUR / 2), ago(HOUR / 4), 'grace'],
    ['quiet for the grace period, but a use may be on its way', ago(HOUR + USE_LAG_MS - 1), null, 'grace'],
    ['and a moment later', ago(HOUR + USE_LAG_MS), null, 'over'],
  ] as const)('%s', (_what, supersededAt, lastUsedAt, expected) => {
    expect(stage(supersededAt, lastUsedAt).stage).toBe(expected)
  })

  it('says when it ends: after its last use', () => {
    expect(stage(ago(2 * HOUR), ago(HOUR / 2)).endsAt).toEqual(ago(HOUR / 2 - HOUR - USE_LAG_MS))
    expect(stage(null, null).endsAt).toBeNull()
  })

  it('has its own grace period, which may be none', () => {
    expect(stage(ago(HOUR / 2), null, 60).stage).toBe('over')
    expect(stage(ago(1), ago(0), 0).stage).toBe('over')
    expect(stage(null, null, 0).stage).toBe('waiting')
  })
})

describe('changed tools', () => {
  const cell = { instanceId: 'i', spaceId: 's' }
  const profile = {
    id: 'p',
    paused: false,
    writePolicy: 'upsert-only' as const,
    onToolsChanged: 'sync' as const,
    selection: { instanceIds: 'all' as const, spaceIds: 'all' as const },
  }

  it('outside every profile are the installation’s matter', () => {
    const elsewhere = { ...profile, selection: { instanceIds: ['other'], spaceIds: 'all' as const } }
    expect(toolsPolicyOf(cell, [elsewhere], 'report')).toEqual({ policy: 'report', profileId: null })
    expect(toolsPolicyOf(cell, [], 'sync')).toEqual({ policy: 'sync', profileId: null })
  })

  it('are brought by a profile that says so, whatever the installation says', () => {
    expect(toolsPolicyOf(cell, [profile], 'report')).toEqual({ policy: 'sync', profileId: 'p' })
    const named = { ...profile, selection: { instanceIds: ['i'], spaceIds: ['s'] } }
    expect(toolsPolicyOf(cell, [named], 'report')).toEqual({ policy: 'sync', profileId: 'p' })
  })

  it.each([
    ['reports', { onToolsChanged: 'report' as const }],
    ['is paused', { paused: true }],
    ['creates only', { writePolicy: 'create-only' as const }],
  ])('are only shown where the one profile %s', (_what, over) => {
    expect(toolsPolicyOf(cell, [{ ...profile, ...over }], 'sync')).toEqual({ policy: 'report', profileId: null })
  })

  it.each([
    ['no run yet', [], true],
    ['one that ended well', [{ state: 'succeeded', createdAt: ago(9 * HOUR) }], false],
    ['one that is going on', [{ state: 'running', createdAt: ago(9 * HOUR) }], false],
    ['one that failed a moment ago', [{ state: 'failed', createdAt: ago(HOUR / 2) }], false],
    ['one that failed an hour ago', [{ state: 'partial', createdAt: ago(HOUR) }], true],
    [
      'the last one counts',
      [
        { state: 'succeeded', createdAt: ago(HOUR) },
        { state: 'failed', createdAt: ago(3 * HOUR) },
      ],
      false,
    ],
  ] as const)('with %s', (_what, earlier, expected) => {
    expect(mayRunForTools(earlier, now)).toBe(expected)
  })
})
