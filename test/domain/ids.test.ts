import { afterEach, describe, expect, it, vi } from 'vitest'
import { firstIdAt, isId, newId } from '../../src/domain/ids.ts'

const MANY = 10_000
const V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

const msOf = (id: string) => Number.parseInt(id.replace('-', '').slice(0, 12), 16)
const many = (make: () => string) => Array.from({ length: MANY }, make)

afterEach(() => void vi.useRealTimers())

describe('ids', () => {
  it('are UUIDv7 of now, all different', () => {
    const before = Date.now()
    const ids = many(() => newId())
    expect(ids.filter((id) => !V7.test(id) || !isId(id))).toEqual([])
    expect(new Set(ids).size).toBe(MANY)
    expect(msOf(ids[0] ?? '')).toBeGreaterThanOrEqual(before)
  })

  it('are in the order in which they were made, within one millisecond too, and while the clock goes back', () => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 60_000 })
    const [first, ...ids] = [newId(), ...many(() => newId())]
    vi.setSystemTime(Date.now() - 30_000)
    ids.push(...many(() => newId()))
    vi.setSystemTime(Date.now() + 60_000)
    const last = newId()
    const made = [first, ...ids, last]
    expect(made).toEqual(made.toSorted())
    expect(new Set(ids.map(msOf))).toEqual(new Set([msOf(first)]))
    expect(msOf(last)).toBe(msOf(first) + 30_000)
  })

  it('of a given time bear it, whatever was asked before, and those of one time are in their order', () => {
    const atMs = Date.parse('2026-05-01T08:00:00.000Z')
    const ids = many(() => newId(atMs))
    expect(ids).toEqual(ids.toSorted())
    const earlier = newId(atMs - 1)
    expect([msOf(ids.at(-1) ?? ''), msOf(earlier), msOf(newId(atMs))]).toEqual([atMs, atMs - 1, atMs])
    expect(msOf(newId())).toBeGreaterThan(atMs)
  })

  it('of a time are told apart from earlier ones by the first id of that time', () => {
    const atMs = Date.parse('2026-05-01T08:00:00.000Z')
    const before = firstIdAt(atMs)
    expect(isId(before)).toBe(true)
    expect(many(() => newId(atMs)).filter((id) => id < before)).toEqual([])
    expect(many(() => newId(atMs - 1)).filter((id) => id >= before)).toEqual([])
    expect(newId() > firstIdAt(-1) && newId() < firstIdAt(Date.parse('+275000-01-01T00:00:00Z'))).toBe(true)
  })

  it('of one millisecond are different from what another process makes in it', () => {
    // Each new millisecond starts its counter anew: what two processes start with is as different as this.
    const atMs = Date.parse('2026-05-01T08:00:00.000Z')
    const starts = Array.from({ length: 100 }, (_, index) => newId(atMs + index).slice(14, 23))
    expect(new Set(starts).size).toBeGreaterThan(90)
  })
})
