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
    expect(plan.inTheWay).toEqual(foreign)
  })

  it('in sync, a difference, and a foreign object where it would go → conflict naming it', () => {
    const { stored, recorded } = synced()
    const desired = wanted({ url: 'http://new/mcp' })
    const plan = planTarget(target({ desired, recorded, observed: observe(stored), inTheWay: foreign }), digest)
    expect(plan).toMatchObject({ action: 'conflict', inTheWay: foreign })
  })

  it('a gateway that moved → update of url alone, from what was written to what is wanted, and no drift', () => {
    const { stored, recorded } = synced()
    const desired = wanted({ url: 'http://new/mcp' })
    const observed = { ...observe(stored), shown: { name: 'Search' } }
    const shown = { url: 'http://g/mcp' }
    const plan = planTarget(target({ desired, recorded: { ...recorded, shown }, observed }), digest)
    expect(plan).toMatchObject({ action: 'update', drift: [] })
    expect(plan.changes).toEqual([{ field: 'url', before: 'http://g/mcp', after: 'http://new/mcp', secret: false }])
    const edited = { ...observed, stored: { ...stored, url: 'http://evil/mcp' } }
    const drifted = planTarget(target({ desired, recorded: { ...recorded, shown }, observed: edited }), digest)
    expect(drifted.changes).toMatchObject([{ field: 'url', before: null }])
  })

  it('adopted just now → update of every owned field; what its maker chose stays', () => {
    const { stored } = synced()
    const recorded = { identity: { id: 'row', key: 'by-hand' }, state: 'drifted' as const, digests: null }
    const plan = planTarget(target({ recorded, observed: observe({ ...stored, name: 'Their name' }) }), digest)
    expect(plan).toMatchObject({ action: 'update', drift: [], kept: [] })
    expect(plan.changes.map((change) => change.field)).toEqual(['url', 'authorization', 'tools'])
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

  it('deleting, disabled and expired → skip, whatever else is true', () => {
    for (const right of ['deleting', 'disabled', 'expired'] as const) {
      expect(planTarget(target({ right, inTheWay: foreign }), digest).action).toBe('skip')
    }
  })

  it('a broken space → failed with its problem; an unreachable server → failed with that', () => {
    const problem = { type: 'InvalidDesiredState' as const, message: 'no key' }
    expect(planTarget(target({ spaceProblem: problem }), digest)).toMatchObject({ action: null, failure: problem })
    const error = { type: 'UpstreamUnreachable' as const, message: 'refused' }
    expect(planTarget(target({ desired: null, desiredError: error }), digest)).toMatchObject({ failure: error })
  })

  const removal = (change: Partial<TargetInput>) =>
    planTarget(target({ action: 'remove', desired: null, ...change }), digest)

  it('removal of what is there → remove, whatever the right, and although nothing could be written there', () => {
    const { stored, recorded } = synced()
    const observed = observe(stored)
    for (const right of ['granted', 'deleting', 'disabled', 'expired'] as const) {
      expect(removal({ recorded, observed, right }).action).toBe('remove')
    }
    for (const type of ['InvalidDesiredState', 'TargetGone'] as const) {
      expect(removal({ recorded, observed, spaceProblem: { type, message: 'no' } }).action).toBe('remove')
    }
  })

  it('removal where nobody may delete → failed, with the space’s problem', () => {
    const { stored, recorded } = synced()
    for (const type of ['Forbidden', 'UnsupportedVersion'] as const) {
      const spaceProblem = { type, message: 'no' }
      expect(removal({ recorded, observed: observe(stored), spaceProblem })).toMatchObject({ failure: spaceProblem })
    }
  })

  it('removal of what is gone → unchanged; where the space is gone, that is said', () => {
    const { recorded } = synced()
    expect(removal({ recorded })).toMatchObject({ action: 'unchanged', note: 'It is not there.' })
    const gone = removal({ recorded, spaceProblem: { type: 'TargetGone', message: 'deleted' } })
    expect(gone).toMatchObject({ action: 'unchanged', note: expect.stringContaining('space is gone') })
  })

  it('removal while a write is under way → remove what it may yet leave', () => {
    for (const identity of [null, { id: 'row', key: 'mcp-1' }]) {
      expect(removal({ recorded: { identity, state: 'pending', digests: null } }).action).toBe('remove')
    }
  })

  it('removal of what a write that failed in the middle was about to make → remove, whether it is seen there or not', () => {
    const recorded = { identity: null, state: 'failed' as const, digests: null, unfinished: true }
    expect(removal({ recorded, observed: observe(synced().stored) }).action).toBe('remove')
    expect(removal({ recorded }).action).toBe('remove')
    expect(removal({ recorded: { ...recorded, unfinished: false } }).action).toBe('unchanged')
  })

  it('removal of what is not recorded as ours → never', () => {
    expect(removal({ recorded: null, observed: observe(synced().stored), inTheWay: foreign }).action).toBe('unchanged')
  })
})

describe('planning as a whole', () => {
  const text = fc.string({ maxLength: 12 })
  const fields = fc.record({ name: text, url: text, authorization: text, tools: text, icon: text })
  const right = fc.constantFrom('granted' as const, 'disabled' as const, 'expired' as const, 'deleting' as const)
  const problem = fc.constantFrom(
    null,
    { type: 'TargetGone' as const, message: 'gone' },
    { type: 'InvalidDesiredState' as const, message: 'no key' },
    { type: 'Forbidden' as const, message: 'no right' },
  )

  /** A workspace with our objects and others'; cells point at ours by identity, as the adapters find them. */
  const worlds = fc.record({
    objects: fc.uniqueArray(
      fc.record({ id: fc.integer({ min: 0, max: 7 }), ours: fc.boolean(), inSelection: fc.boolean() }),
      { selector: ({ id }) => id, maxLength: 8 },
    ),
    /** Cells whose object somebody deleted, or that never had one. */
    vanished: fc.subarray([0, 1, 2, 3, 4, 5, 6, 7]),
    right,
    problem,
  })

  it('a mirror removes what is ours and not selected, and never touches foreign objects', () => {
    fc.assert(
      fc.property(worlds, ({ objects, vanished, right, problem }) => {
        const there = new Map(objects.filter(({ id }) => !vanished.includes(id)).map((object) => [object.id, object]))
        const { stored, recorded } = synced()
        const touched: number[] = []
        for (const { id, ours, inSelection } of objects) {
          const observed = ours && there.has(id) ? observe(stored) : null
          const plan = planTarget(
            target({
              action: inSelection ? 'sync' : 'remove',
              writePolicy: 'mirror',
              right,
              desired: inSelection ? wanted({ tools: '["changed"]' }) : null,
              recorded: ours ? recorded : null,
              spaceProblem: problem,
              observed,
              inTheWay: !ours && there.has(id) ? foreign : null,
            }),
            digest,
          )
          if (plan.action === 'remove' || plan.action === 'update') touched.push(id)
          if (plan.action === 'remove') expect([ours, inSelection]).toEqual([true, false])
          if (!ours && there.has(id)) expect(['conflict', 'unchanged', 'skip', null]).toContain(plan.action)
        }
        const foreigners = objects.filter(({ ours }) => !ours).map(({ id }) => id)
        expect(touched.filter((id) => foreigners.includes(id))).toEqual([])
      }),
    )
  })

  it('remove only what is ours: whatever stands there, without a record of it nothing is removed', () => {
    fc.assert(
      fc.property(fields, right, problem, fc.boolean(), (values, right, spaceProblem, isThere) => {
        const observed = isThere ? observe(store(values)) : null
        const plan = planTarget(
          target({ action: 'remove', desired: null, right, spaceProblem, observed, inTheWay: foreign, recorded: null }),
          digest,
        )
        expect(plan.action).not.toBe('remove')
      }),
    )
  })

  it('plan after removal = unchanged; a return after it is a create', () => {
    fc.assert(
      fc.property(fields, right, problem, (values, right, spaceProblem) => {
        const { recorded } = synced(values)
        const removed = { ...recorded, state: 'removed' as const, digests: null }
        const input = target({ action: 'remove', desired: null, right, spaceProblem, recorded: removed })
        expect(['unchanged', null]).toContain(planTarget(input, digest).action)
        const back = planTarget(target({ desired: wanted(values), recorded: removed }), digest)
        expect([back.action, back.drift]).toEqual(['create', []])
      }),
    )
  })

  it('create-only never writes to what is there, whatever differs', () => {
    fc.assert(
      fc.property(fields, fields, (first, second) => {
        const { stored, recorded } = synced(first)
        const plan = planTarget(
          target({ writePolicy: 'create-only', desired: wanted(second), recorded, observed: observe(stored) }),
          digest,
        )
        expect(['unchanged', 'skip']).toContain(plan.action)
      }),
    )
  })

  it('an adopted object is written once, then unchanged, and what its maker chose stays', () => {
    fc.assert(
      fc.property(fields, fields, (theirs, ours) => {
        const stored: Record<string, string> = { ...store(theirs), key: 'k1' }
        const desired = wanted(ours)
        const adopted = { identity: { id: 'row', key: 'by-hand' }, state: 'drifted' as const, digests: null }
        const first = planTarget(target({ desired, recorded: adopted, observed: observe(stored) }), digest)
        expect(first.action).toBe('update')
        const { write } = compareFields(desired, null, observe(stored), digest)
        expect(write.filter((field) => KEPT.includes(field))).toEqual([])
        const after: Record<string, string> = { ...stored }
        const fresh = store(desired.fields)
        for (const field of write) after[field] = fresh[field] ?? ''
        const digests = digestsAfterWrite(desired, after, write, null, digest)
        const recorded = { ...adopted, state: 'in_sync' as const, digests }
        expect(planTarget(target({ desired, recorded, observed: observe(after) }), digest).action).toBe('unchanged')
        expect([after.name, after.icon]).toEqual([stored.name, stored.icon])
      }),
    )
  })

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
