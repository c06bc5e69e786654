import type { NormalisedObject } from './object.ts'
import type { FieldChange, PlannedTarget } from './plan.ts'
import type { TargetAction } from './states.ts'

/** Reasons to leave alone what the planner would write. */
export type HoldBack = {
  /** Applying a plan: what it said of this target; null when it did not name it. Undefined: no plan is being applied. */
  agreed?: AgreedTarget | null
  /** The profile only reports drift. */
  reportsDrift: boolean
  /** The same wanted state was given up for good by an earlier run. */
  givenUp: boolean
}

export type AgreedTarget = { action: TargetAction | null; changes: readonly unknown[] }

/**
 * Decides whether a planned write is done by this run. Pure. What is held back is a `skip` that keeps its changes and its
 * drift, so that they are shown.
 *
 * | planned               | rule                                            | then                            |
 * | --------------------- | ----------------------------------------------- | ------------------------------- |
 * | not a write           | any                                             | as planned                      |
 * | create, update, remove | a plan is applied and said something else      | skip: changed since the plan    |
 * | create, update        | something drifted and the profile only reports  | skip: drift is reported         |
 * | create, update        | the same was given up before                    | skip: not tried again           |
 * | create, update, remove | none of these                                  | as planned                      |
 */
export function holdBack(plan: PlannedTarget, rules: HoldBack): PlannedTarget {
  if (plan.action !== 'create' && plan.action !== 'update' && plan.action !== 'remove') return plan
  if (rules.agreed !== undefined && !isAgreed(plan, rules.agreed)) {
    return skipped(plan, `Changed since the plan: ${describeAgreed(rules.agreed)}, and now it would be: ${now(plan)}.`)
  }
  if (plan.action === 'remove') return plan
  if (rules.reportsDrift && plan.drift.length > 0) {
    return skipped(plan, `It drifted on the platform (${plan.drift.join(', ')}); the profile only reports that.`)
  }
  if (rules.givenUp) {
    return skipped(
      plan,
      'The same was tried before and cannot succeed. It is tried again once something changes, or by a sync started by hand.',
    )
  }
  return plan
}

/**
 * Fields that a write would touch although the plan did not name them, or to which it would give another value: the world
 * moved between the look and the write. What cannot be shown (secrets, tool definitions) is agreed to by its name.
 */
export function beyondPlan(
  changes: readonly unknown[],
  fields: readonly string[],
  desired: Pick<NormalisedObject, 'fields'>,
): string[] {
  const agreed = new Map(changes.filter(isFieldChange).map((change) => [change.field, change.after]))
  return fields.filter((field) => {
    const after = agreed.get(field)
    return after === undefined || (after !== null && after !== desired.fields[field])
  })
}

function isFieldChange(change: unknown): change is Pick<FieldChange, 'field' | 'after'> {
  return typeof change === 'object' && change !== null && 'field' in change && 'after' in change
}

function isAgreed(plan: PlannedTarget, agreed: AgreedTarget | null): boolean {
  if (agreed === null || agreed.action !== plan.action) return false
  return sameText(plan.changes) === sameText(agreed.changes)
}

/** The same text for the same changes, in whatever order they and their properties come. */
function sameText(changes: readonly unknown[]): string {
  return JSON.stringify(changes.map(sortedText).sort())
}

function sortedText(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  )
}

function describeAgreed(agreed: AgreedTarget | null): string {
  if (agreed === null) return 'it did not name this target'
  return agreed.action === null ? 'it could not say what to do' : `it said ${agreed.action}`
}

function now(plan: PlannedTarget): string {
  const fields = plan.changes.map((change: FieldChange) => change.field).join(', ')
  return fields === '' ? `${plan.action}` : `${plan.action} (${fields})`
}

function skipped(plan: PlannedTarget, note: string): PlannedTarget {
  return { ...plan, action: 'skip', failure: null, note }
}
