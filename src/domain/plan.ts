import type { ErrorType } from './errors.ts'
import type { ForeignObject, NormalisedObject, ObservedObject, RemoteIdentity } from './object.ts'
import type { DeploymentState, TargetAction } from './states.ts'

export type WritePolicy = 'upsert-only' | 'create-only' | 'mirror'

/** Two keyed digests a field: of the plaintext that was wanted, and of the column as it stood right after the write. */
export type FieldDigests = { desired: Record<string, string>; written: Record<string, string> }

export type RecordedDeployment = {
  identity: RemoteIdentity | null
  state: DeploymentState
  digests: FieldDigests | null
  /** A write of several steps has not come to its end, as far as is known: whatever became of the run that began it. */
  unfinished?: boolean
  /** What was written, as far as it may be shown: for fields that the platform stores unreadably. */
  shown?: Record<string, string>
}

export type TargetInput = {
  action: 'sync' | 'remove'
  writePolicy: WritePolicy
  /** What the admin decided for this binding. */
  right: 'granted' | 'disabled' | 'expired' | 'deleting'
  /** null for a removal, or when `desiredError` says why there is none. */
  desired: NormalisedObject | null
  desiredError: Failure | null
  /** Fields whose value does not exist yet (the token of a plan before minting): they count as changed. */
  unknownFields: string[]
  recorded: RecordedDeployment | null
  spaceProblem: Failure | null
  observed: ObservedObject | null
  inTheWay: ForeignObject | null
}

export type Failure = { type: ErrorType; message: string }

export type FieldChange = {
  field: string
  /** What is there now and what will be; null where nothing can be shown (secrets, tool definitions). */
  before: string | null
  after: string | null
  secret: boolean
  tools?: { added: string[]; removed: string[]; changed: string[] }
}

export type PlannedTarget = {
  /** null: the target has failed already, see `failure`. */
  action: TargetAction | null
  failure: Failure | null
  /** Why it is skipped, or what a person should know. */
  note: string | null
  changes: FieldChange[]
  /** Fields of ours that no longer stand as they were written. */
  drift: string[]
  /** Fields that a user of the platform edited and that stay so. */
  kept: string[]
  /** Of a conflict: the object in the way, which may be adopted. */
  inTheWay?: ForeignObject
}

/** A keyed digest: the same text gives the same digest within one installation, and tells nothing outside it. */
export type Digest = (text: string) => string

/**
 * Decides one target. Pure: everything that was found out comes in, nothing is looked up.
 *
 * | right   | space problem | desired | our object | in the way | fields differ | action                              |
 * | ------- | ------------- | ------- | ---------- | ---------- | ------------- | ----------------------------------- |
 * | other   | any           | any     | any        | any        | any           | skip (its object is left as it is)  |
 * | granted | yes           | any     | any        | any        | any           | failed, with the space's problem    |
 * | granted | no            | error   | any        | any        | any           | failed, with that error             |
 * | granted | no            | yes     | no         | yes        | –             | conflict, naming it (may be adopted) |
 * | granted | no            | yes     | no         | no         | –             | create                              |
 * | granted | no            | yes     | yes        | any        | no            | unchanged                           |
 * | granted | no            | yes     | yes        | yes        | yes           | conflict                            |
 * | granted | no            | yes     | yes        | no         | yes           | update (create-only: skip)          |
 *
 * Other rights: deleting, disabled, expired. "Our object" is one that stands under the identity that we recorded: made by us,
 * or adopted; or that an unfinished write of ours was about to make. What a mirror no longer selects comes as a removal (`action: "remove"`), which asks neither for rights nor for a
 * desired object, and never sees what is in the way:
 *
 * | space problem             | recorded as ours | stands there | write under way | action                              |
 * | ------------------------- | ---------------- | ------------ | --------------- | ----------------------------------- |
 * | forbidden, version        | any              | any          | any             | failed, with the space's problem    |
 * | none, gone, cannot be fed | no               | any          | any             | unchanged (nothing of ours)         |
 * | none, gone, cannot be fed | yes              | yes          | any             | remove                              |
 * | none, gone, cannot be fed | yes              | no           | yes             | remove (what it may yet leave)      |
 * | none, gone, cannot be fed | yes              | no           | no              | unchanged (gone already)            |
 */
export function planTarget(input: TargetInput, digest: Digest): PlannedTarget {
  if (input.action === 'remove') return planRemoval(input)
  if (input.right === 'deleting') return skip('It is being deleted: nothing new is written for it.')
  if (input.right === 'disabled') return skip('The binding is disabled; its object on the platform is left as it is.')
  if (input.right === 'expired') return skip('The binding has expired; its object on the platform is left as it is.')
  if (input.spaceProblem !== null) return failed(input.spaceProblem)
  if (input.desiredError !== null) return failed(input.desiredError)
  if (input.desired === null) throw new Error('a sync target needs its desired object')

  const { desired, observed } = input
  if (observed === null) {
    if (input.inTheWay !== null) return conflict(input.inTheWay)
    const wasThere = input.recorded?.digests != null && input.recorded.state !== 'removed'
    return {
      action: 'create',
      failure: null,
      note: wasThere ? 'It was deleted on the platform and is made again.' : null,
      changes: describeChanges(Object.keys(desired.fields), desired, null),
      drift: wasThere ? ['deleted'] : [],
      kept: [],
    }
  }

  const fields = compareFields(desired, input.recorded?.digests ?? null, observed, digest, input.unknownFields)
  if (fields.write.length === 0) {
    return {
      action: 'unchanged',
      failure: null,
      note: keptNote(fields.kept),
      changes: [],
      drift: [],
      kept: fields.kept,
    }
  }
  if (input.inTheWay !== null) return { ...conflict(input.inTheWay), drift: fields.drift, kept: fields.kept }
  const changes = describeChanges(fields.write, desired, observed, asWritten(input.recorded, fields.drift))
  if (input.writePolicy === 'create-only') {
    return {
      ...skip('It exists and the write policy is create-only.'),
      changes,
      drift: fields.drift,
      kept: fields.kept,
    }
  }
  return {
    action: 'update',
    failure: null,
    note: keptNote(fields.kept),
    changes,
    drift: fields.drift,
    kept: fields.kept,
  }
}

/**
 * Which fields must be written so that the object stands as desired.
 *
 * Unchanged ⇔ the desired digest equals what was applied *and* the observed column equals what was written.
 *
 * | field | broken | desired changed | column changed | then               |
 * | ----- | ------ | --------------- | -------------- | ------------------ |
 * | any   | yes    | any             | any            | write (repair)     |
 * | owned | no     | yes             | any            | write              |
 * | owned | no     | no              | yes            | write, and drift   |
 * | kept  | no     | any             | yes            | left to its editor |
 * | kept  | no     | yes             | no             | write              |
 *
 * A stored column that is not a field of the desired object (the workspace's encryption key) makes every owned field due
 * when it changed. With nothing recorded (a crash between the platform's commit and our record), owned fields are written
 * again and kept ones are taken as they stand.
 */
export function compareFields(
  desired: NormalisedObject,
  recorded: FieldDigests | null,
  observed: ObservedObject,
  digest: Digest,
  unknownFields: string[] = [],
): { write: string[]; drift: string[]; kept: string[] } {
  const write: string[] = []
  const drift: string[] = []
  const kept: string[] = []
  const surroundings = Object.keys(observed.stored).filter((field) => !(field in desired.fields))
  const surroundingsChanged =
    recorded !== null &&
    surroundings.some((field) => fieldDigest(digest, field, observed.stored[field] ?? '') !== recorded.written[field])

  for (const [field, value] of Object.entries(desired.fields)) {
    const isKept = desired.keptFields.includes(field)
    const desiredChanged =
      unknownFields.includes(field) || recorded?.desired[field] !== fieldDigest(digest, field, value)
    const columnChanged =
      recorded !== null && fieldDigest(digest, field, observed.stored[field] ?? '') !== recorded.written[field]
    if (observed.brokenFields.includes(field)) {
      write.push(field)
      if (!isKept) drift.push(field)
    } else if (isKept) {
      if (columnChanged) kept.push(field)
      else if (desiredChanged && recorded !== null) write.push(field)
    } else if (desiredChanged || columnChanged || surroundingsChanged) {
      write.push(field)
      if (columnChanged) drift.push(field)
    }
  }
  return { write, drift, kept }
}

/**
 * The digests to record after a write. A kept field that was not written keeps its former digests, so a user's edit stays
 * recognised as one.
 */
export function digestsAfterWrite(
  desired: NormalisedObject,
  stored: Record<string, string>,
  wroteFields: string[],
  former: FieldDigests | null,
  digest: Digest,
): FieldDigests {
  const after: FieldDigests = { desired: {}, written: {} }
  for (const [field, value] of Object.entries(desired.fields)) {
    const keepsFormer =
      desired.keptFields.includes(field) && !wroteFields.includes(field) && former?.written[field] !== undefined
    const formerDesired = former?.desired[field]
    const formerWritten = former?.written[field]
    after.desired[field] =
      keepsFormer && formerDesired !== undefined ? formerDesired : fieldDigest(digest, field, value)
    after.written[field] =
      keepsFormer && formerWritten !== undefined ? formerWritten : fieldDigest(digest, field, stored[field] ?? '')
  }
  for (const [field, value] of Object.entries(stored)) {
    if (!(field in desired.fields)) after.written[field] = fieldDigest(digest, field, value)
  }
  return after
}

/** What no longer stands as it was written: for verify and for drift checks. Kept fields are not drift. */
export function driftOf(
  recorded: FieldDigests,
  observed: ObservedObject | null,
  keptFields: string[],
  digest: Digest,
): string[] {
  if (observed === null) return ['deleted']
  return Object.entries(recorded.written)
    .filter(([field]) => !keptFields.includes(field))
    .filter(([field, written]) => fieldDigest(digest, field, observed.stored[field] ?? '') !== written)
    .map(([field]) => field)
}

/** The digest of one field's text; the field's name is in it, so that equal texts of two fields differ. */
export function fieldDigest(digest: Digest, field: string, value: string): string {
  return digest(`${field}\u0000${value}`)
}

/** Problems that keep us from deleting; the others only keep us from writing. */
const NOTHING_CAN_BE_DONE: readonly ErrorType[] = ['Forbidden', 'UnsupportedVersion']

function planRemoval(input: TargetInput): PlannedTarget {
  const { spaceProblem, recorded, observed } = input
  if (spaceProblem !== null && NOTHING_CAN_BE_DONE.includes(spaceProblem.type)) return failed(spaceProblem)
  // Recorded, though by an attempt that has not heard the identity yet (COZE): then its write is under way, or may have been
  // carried out although the run that began it has failed.
  const underWay = recorded?.state === 'pending' || recorded?.unfinished === true
  const ours = recorded !== null && (recorded.identity !== null || underWay || observed !== null)
  const [action, note] =
    ours && (observed !== null || underWay)
      ? (['remove', null] as const)
      : ([
          'unchanged',
          spaceProblem?.type === 'TargetGone' ? 'Its space is gone, or out of reach.' : 'It is not there.',
        ] as const)
  return { action, failure: null, note, changes: [], drift: [], kept: [] }
}

/** What stands there for sure, although it cannot be read: what we wrote and nobody changed. */
function asWritten(recorded: RecordedDeployment | null, drift: string[]): Record<string, string> {
  return Object.fromEntries(Object.entries(recorded?.shown ?? {}).filter(([field]) => !drift.includes(field)))
}

function describeChanges(
  fields: string[],
  desired: NormalisedObject,
  observed: ObservedObject | null,
  written: Record<string, string> = {},
): FieldChange[] {
  return fields.map((field) => {
    const secret = desired.secretFields.includes(field)
    if (field === 'tools') {
      return { field, before: null, after: null, secret, tools: compareTools(observed?.tools ?? {}, desired.tools) }
    }
    return {
      field,
      before: secret ? null : (observed?.shown[field] ?? written[field] ?? null),
      after: secret ? null : (desired.fields[field] ?? null),
      secret,
    }
  })
}

function compareTools(
  before: Record<string, string>,
  after: Record<string, string>,
): { added: string[]; removed: string[]; changed: string[] } {
  const names = Object.keys(after)
  return {
    added: names.filter((name) => !(name in before)),
    removed: Object.keys(before).filter((name) => !(name in after)),
    changed: names.filter((name) => name in before && before[name] !== after[name]),
  }
}

function keptNote(kept: string[]): string | null {
  return kept.length === 0 ? null : `Edited on the platform and left so: ${kept.join(', ')}.`
}

function skip(note: string): PlannedTarget {
  return { action: 'skip', failure: null, note, changes: [], drift: [], kept: [] }
}

function failed(failure: Failure): PlannedTarget {
  return { action: null, failure, note: null, changes: [], drift: [], kept: [] }
}

function conflict(foreign: ForeignObject): PlannedTarget {
  return {
    action: 'conflict',
    failure: { type: 'Conflict', message: foreign.message },
    note: null,
    changes: [],
    drift: [],
    kept: [],
    inTheWay: foreign,
  }
}
