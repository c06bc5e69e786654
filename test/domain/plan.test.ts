import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { NormalisedObject, ObservedObject } from '../../src/domain/object.ts'
import { compareFields, digestsAfterWrite, driftOf, planTarget, type TargetInput } from '../../src/domain/plan.ts'

const digest = (text: string) => createHash('sha256').update(text).digest('hex')

const FIELDS = ['name', 'url', 'authorization', 'tools', 'icon']
const KEPT = ['name', 'icon']

function wanted(change: Record<string, string> = {}): NormalisedObject {
  return {
    fields: { name: 'Search', url: 'http://g/mcp', authorization: 'Bearer t1', tools: '["a"]', icon: 'i', ...change },
    secretFields: ['authorization'],
    keptFields: KEPT,
    tools: { a: '1' },
    warnings: [],
  }
}

/** A platform that stores what is written, encrypted with a fresh nonce where it is a secret. */
let nonce = 0
function store(fields: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(fields).map(([field, value]) => [field, field === 'authorization' ? `${nonce++}:${value}` : value]),
  )
}

function observe(stored: Record<string, string>, brokenFields: string[] = []): ObservedObject {
  return {
    identity: { id: 'row', key: 'mcp-1' },
    stored,
    shown: { name: stored.name ?? '', url: stored.url ?? '' },
    tools: { a: '1' },
    brokenFields,
  }
}

function target(change: Partial<TargetInput>): TargetInput {
  return {
    action: 'sync',
    writePolicy: 'upsert-only',
    right: 'granted',
    desired: wanted(),
    desiredError: null,
    unknownFields: [],
    recorded: null,
    spaceProblem: null,
    observed: null,
    inTheWay: null,
    ...change,
  }
}

function synced(change: Record<string, string> = {}) {
  const desired = wanted(change)
  const stored: Record<string, string> = { ...store(desired.fields), key: 'k1' }
  const digests = digestsAfterWrite(desired, stored, FIELDS, null, digest)
  return { desired, stored, recorded: { identity: { id: 'row', key: 'mcp-1' }, state: 'in_sync' as const, digests } }
}

const foreign = { remoteId: 'x', name: 'Mine', because: 'url' as const, message: '«Mine» has this URL already.' }

describe('planTarget, by transition', () => {
  it('nothing there → create, every field named, the secret without a value', () => {
    const plan = planTarget(target({}), digest)
    expect(plan.action).toBe('create')
    expect(plan.changes.map((change) => change.field)).toEqual(FIELDS)
    expect(JSON.stringify(plan)).not.toContain('t1')
  })

  it('nothing there, a foreign object in the way → conflict naming it', () => {
    const plan = planTarget(target({ inTheWay: foreign }), digest)
    expect(plan).toMatchObject({ action: 'conflict', failure: { type: 'Conflict', message: foreign.message } })
  })

  it('in sync → unchanged', () => {
    const { desired, stored, recorded } = synced()
    expect(planTarget(target({ desired, recorded, observed: observe(stored) }), digest).action).toBe('unchanged')
  })

  it('in sync, and a foreign object elsewhere → still unchanged', () => {
    const { desired, stored, recorded } = synced()
    const plan = planTarget(target({ desired, recorded, observed: observe(stored), inTheWay: foreign }), digest)
    expect(plan.action).toBe('unchanged')
  })

  it('a rotated token → update of authorization alone', () => {
    const { stored, recorded } = synced()
    const desired = wanted({ authorization: 'Bearer t2' })
    const plan = planTarget(target({ desired, recorded, observed: observe(stored) }), digest)
    expect(plan.action).toBe('update')
    expect(plan.changes.map((change) => change.field)).toEqual(['authorization'])
    expect(plan.drift).toEqual([])
  })

  it('a ciphertext replaced on the platform → update, and drift', () => {
    const { desired, stored, recorded } = synced()
    const observed = observe({ ...stored, authorization: 'somebody else' })
    expect(planTarget(target({ desired, recorded, observed }), digest)).toMatchObject({
      action: 'update',
      drift: ['authorization'],
    })
  })

  it('a hand-edited name → unchanged, and said', () => {
    const { desired, stored, recorded } = synced()
    const plan = planTarget(target({ desired, recorded, observed: observe({ ...stored, name: 'Ours' }) }), digest)
    expect(plan).toMatchObject({ action: 'unchanged', kept: ['name'], drift: [] })
  })

  it('a hand-edited name and a renamed instance → the hand wins', () => {
    const { stored, recorded } = synced()
    const observed = observe({ ...stored, name: 'Ours' })
    const plan = planTarget(target({ desired: wanted({ name: 'New' }), recorded, observed }), digest)
    expect(plan).toMatchObject({ action: 'unchanged', kept: ['name'] })
  })

  it('a renamed instance, the name untouched there → update', () => {
    const { stored, recorded } = synced()
    const plan = planTarget(target({ desired: wanted({ name: 'New' }), recorded, observed: observe(stored) }), digest)
    expect(plan.changes).toMatchObject([{ field: 'name', before: 'Search', after: 'New' }])
  })

  it('a broken icon → repaired although icons are kept', () => {
    const { desired, stored, recorded } = synced()
    const plan = planTarget(target({ desired, recorded, observed: observe({ ...stored, icon: '' }, ['icon']) }), digest)
    expect(plan.changes.map((change) => change.field)).toEqual(['icon'])
  })

  it('the workspace has a new encryption key → every owned field is written', () => {
    const { desired, stored, recorded } = synced()
    const plan = planTarget(target({ desired, recorded, observed: observe({ ...stored, key: 'k2' }) }), digest)
    expect(plan.changes.map((change) => change.field)).toEqual(['url', 'authorization', 'tools'])
  })

  it('deleted on the platform → create again, and drift', () => {
    const { desired, recorded } = synced()
    expect(planTarget(target({ desired, recorded }), digest)).toMatchObject({ action: 'create', drift: ['deleted'] })
  })

  it('our row is there but was never recorded (a crash after the commit) → owned fields are written once more', () => {
    const { desired, stored } = synced()
    const plan = planTarget(target({ desired, observed: observe(stored) }), digest)
    expect(plan.action).toBe('update')
    expect(plan.changes.map((change) => change.field)).toEqual(['url', 'authorization', 'tools'])
  })

  it('create-only and a difference → skip, with the changes shown', () => {
    const { stored, recorded } = synced()
    const desired = wanted({ tools: '["b"]' })
    const plan = planTarget(
      target({ writePolicy: 'create-only', desired, recorded, observed: observe(stored) }),
      digest,
    )
    expect(plan.action).toBe('skip')
    expect(plan.changes.map((change) => change.field)).toEqual(['tools'])
  })

  it('a token that is still to be minted → authorization counts as changed', () => {
    const { desired, stored, recorded } = synced()
    const plan = planTarget(
      target({ desired, recorded, observed: observe(stored), unknownFields: ['authorization'] }),
      digest,
    )
    expect(plan.changes.map((change) => change.field)).toEqual(['authorization'])
  })

  it('disabled and expired → skip, whatever else is true', () => {
    for (const right of ['disabled', 'expired'] as const) {
      expect(planTarget(target({ right, inTheWay: foreign }), digest).action).toBe('skip')
    }
  })

  it('a broken space → failed with its problem; an unreachable server → failed with that', () => {
    const problem = { type: 'InvalidDesiredState' as const, message: 'no key' }
    expect(planTarget(target({ spaceProblem: problem }), digest)).toMatchObject({ action: null, failure: problem })
    const error = { type: 'UpstreamUnreachable' as const, message: 'refused' }
    expect(planTarget(target({ desired: null, desiredError: error }), digest)).toMatchObject({ failure: error })
  })

  it('removal → remove what is there, unchanged when it is gone', () => {
    const { stored, recorded } = synced()
    expect(planTarget(target({ action: 'remove', recorded, observed: observe(stored) }), digest).action).toBe('remove')
    expect(planTarget(target({ action: 'remove', recorded }), digest).action).toBe('unchanged')
  })
})

describe('planning as a whole', () => {
  const text = fc.string({ maxLength: 12 })
  const fields = fc.record({ name: text, url: text, authorization: text, tools: text, icon: text })

  it('plan after apply = unchanged, whatever was there before and whatever a user had edited', () => {
    fc.assert(
      fc.property(fields, fields, fc.subarray(FIELDS), (first, second, edited) => {
        const before = synced(first)
        const stored = { ...before.stored }
        for (const field of edited) stored[field] = `edited ${stored[field]}`
        const desired = wanted(second)
        const { write } = compareFields(desired, before.recorded.digests, observe(stored), digest)
        const after = { ...stored }
        const fresh = store(desired.fields)
        for (const field of write) after[field] = fresh[field] ?? ''
        const digests = digestsAfterWrite(desired, after, write, before.recorded.digests, digest)
        const recorded = { ...before.recorded, digests }
        const plan = planTarget(target({ desired, recorded, observed: observe(after) }), digest)
        expect(plan.action).toBe('unchanged')
        expect(driftOf(digests, observe(after), KEPT, digest)).toEqual([])
      }),
    )
  })

  it('a changed owned column is always drift; a changed kept one never is', () => {
    fc.assert(
      fc.property(fields, fc.constantFrom(...FIELDS), (values, field) => {
        const { stored, recorded } = synced(values)
        const drift = driftOf(recorded.digests, observe({ ...stored, [field]: `${stored[field]}!` }), KEPT, digest)
        expect(drift).toEqual(KEPT.includes(field) ? [] : [field])
      }),
    )
  })
})
