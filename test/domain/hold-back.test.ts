import { describe, expect, it } from 'vitest'
import { type AgreedTarget, beyondPlan, type HoldBack, holdBack } from '../../src/domain/hold-back.ts'
import type { FieldChange, PlannedTarget } from '../../src/domain/plan.ts'

const url: FieldChange = { field: 'url', before: 'a', after: 'b', secret: false }
const tools: FieldChange = {
  field: 'tools',
  before: null,
  after: null,
  secret: false,
  tools: { added: ['x'], removed: [], changed: [] },
}
const update: PlannedTarget = {
  action: 'update',
  failure: null,
  note: null,
  changes: [url, tools],
  drift: [],
  kept: [],
}
const free: HoldBack = { reportsDrift: false, givenUp: false }
const agreed = (over: Partial<AgreedTarget> = {}): HoldBack => ({
  ...free,
  agreed: { action: 'update', changes: [url, tools], ...over },
})

describe('without a reason', () => {
  it('a plan stays as it is', () => expect(holdBack(update, free)).toBe(update))
})

describe('applying a plan', () => {
  it('does what the plan said, in whatever order its changes were kept', () => {
    const stored = JSON.parse(JSON.stringify([{ ...tools }, { secret: false, after: 'b', before: 'a', field: 'url' }]))
    expect(holdBack(update, agreed({ changes: stored }))).toBe(update)
  })
  it.each([
    ['another action', { action: 'create' as const }, 'it said create'],
    ['one field more', { changes: [url] }, 'it said update'],
    ['another value', { changes: [{ ...url, before: 'z' }, tools] }, 'update (url, tools)'],
    ['other tools', { changes: [url, { ...tools, tools: { added: [], removed: [], changed: [] } }] }, 'said update'],
    ['a failure then', { action: null, changes: [] }, 'could not say'],
    ['unchanged then', { action: 'unchanged' as const, changes: [] }, 'it said unchanged'],
  ])('%s: skipped, with the fresh changes', (_name, over, word) => {
    const held = holdBack(update, agreed(over))
    expect(held).toMatchObject({ action: 'skip', failure: null, changes: [url, tools] })
    expect(held.note).toMatch(/^Changed since the plan: /)
    expect(held.note).toContain(word)
  })
  it('a target that the plan did not name is skipped', () => {
    expect(holdBack(update, { ...free, agreed: null })).toMatchObject({ action: 'skip' })
  })
  it('a removal that the plan did not say is skipped; one that it said is done', () => {
    const remove: PlannedTarget = { ...update, action: 'remove', changes: [] }
    expect(holdBack(remove, agreed()).action).toBe('skip')
    expect(holdBack(remove, agreed({ action: 'remove', changes: [] }))).toBe(remove)
  })
  it.each(['unchanged', 'conflict', 'skip', null] as const)('what is no write now (%s) is told as it is', (action) => {
    const plan: PlannedTarget = { ...update, action }
    expect(holdBack(plan, agreed({ action: 'create' }))).toBe(plan)
  })
})

describe('a profile that only reports drift', () => {
  const rules: HoldBack = { ...free, reportsDrift: true }
  it('leaves what drifted and keeps saying so', () => {
    expect(holdBack({ ...update, drift: ['tools'] }, rules)).toMatchObject({ action: 'skip', drift: ['tools'] })
  })
  it('writes what only the admin or the MCP server changed', () => expect(holdBack(update, rules)).toBe(update))
})

it('what was given up is not tried again', () => {
  expect(holdBack(update, { ...free, givenUp: true })).toMatchObject({ action: 'skip', changes: [url, tools] })
  const unchanged: PlannedTarget = { ...update, action: 'unchanged' }
  expect(holdBack(unchanged, { ...free, givenUp: true })).toBe(unchanged)
})

describe('a write that would go beyond the plan', () => {
  const token: FieldChange = { field: 'authorization', before: null, after: null, secret: true }
  const desired = { fields: { url: 'b', tools: '[]', authorization: 'Bearer x' } }
  it.each([
    ['just what was agreed', [url, tools, token], ['url', 'tools', 'authorization'], []],
    ['less than that', [url, tools, token], ['tools'], []],
    ['a field more', [tools], ['tools', 'url'], ['url']],
    ['another value', [{ ...url, after: 'other' }], ['url'], ['url']],
    ['changes of another kind', [null, 'url', {}], ['url'], ['url']],
  ])('%s', (_name, changes, fields, beyond) => expect(beyondPlan(changes, fields, desired)).toEqual(beyond))
})
