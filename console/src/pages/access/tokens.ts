import type { Binding } from './queries.ts'

/** What is known of an authorization's tokens without asking. */

export function nameOf({ instance, space }: Pick<Binding, 'instance' | 'space'>): string {
  return `${instance.name} · ${space.name}`
}

/** Which of these a rotation is about, as the server decides it: an object of ours stands there, and it may be used now. */
export function rotationOf(bindings: Binding[]): { meant: Binding[]; left: Binding[] } {
  const parts = Map.groupBy(bindings, (binding) => mayRotate(binding))
  return { meant: parts.get(true) ?? [], left: parts.get(false) ?? [] }
}

/** Whether there is an object of ours to take away, as far as is known here. */
export function mayRemove({ deployment }: Binding): boolean {
  return deployment.remoteId !== null && !NOT_OURS.includes(deployment.state)
}

const NOT_OURS: readonly Binding['deployment']['state'][] = ['absent', 'removed', 'conflict']

export function mayRotate({ enabled, expiresAt, deployment }: Binding): boolean {
  const ends = expiresAt === null ? Number.POSITIVE_INFINITY : Date.parse(expiresAt)
  return enabled && ends > Date.now() && deployment.remoteId !== null && !NOT_OURS.includes(deployment.state)
}

/**
 * Whether an object on the platform that is not recorded as ours may be taken over: something is in the way, ours was not found,
 * or none of ours is known.
 */
export function mayAdopt({ deployment }: Binding): boolean {
  return NOT_OURS.includes(deployment.state) || deployment.driftFields.includes('deleted')
}
