import { randomUUID } from 'node:crypto'
import type { ApiClient } from './api-client.ts'
import type { Instance, Space, Sync, Target } from './api-types.ts'
import type { Expectations } from './expectations.ts'
import { type FollowedSync, followSync } from './follow-sync.ts'
import type { Terminal } from './terminal.ts'
import type { World } from './world.ts'

/** What the parts of the guided run share: starting runs, and instances × spaces as a table. */

export type Walk = { world: World; api: ApiClient; terminal: Terminal; expectations: Expectations }

export function startSync(api: ApiClient, body: object): Promise<Sync> {
  return api.post<Sync>('/syncs', body, { 'idempotency-key': randomUUID() })
}

export async function startAndFollow(
  { api, terminal }: Walk,
  body: object,
  nameOf: (target: Target) => string,
  quiet: boolean,
): Promise<FollowedSync> {
  const started = await startSync(api, body)
  const shown: Terminal = quiet ? { ...terminal, ok: () => undefined } : terminal
  return followSync(api, started.id, shown, nameOf)
}

export function namer(instances: Instance[], spaces: Space[]): (target: Target) => string {
  const words = new Map([...instances, ...spaces].map((thing) => [thing.id, thing.name]))
  return (target) =>
    `${words.get(target.instanceId) ?? target.instanceId} → ${words.get(target.spaceId) ?? target.spaceId}`
}

/** Instances × spaces: the thing that stands for each cell. */
export function cellsOf<T>(
  instances: Instance[],
  spaces: Space[],
  things: T[],
  placeOf: (thing: T) => [instanceId: string, spaceId: string],
): (T | undefined)[][] {
  const byPlace = new Map(things.map((thing) => [placeOf(thing).join(' '), thing]))
  return instances.map((instance) => spaces.map((space) => byPlace.get(`${instance.id} ${space.id}`)))
}

export function rowsOf<T>(
  instances: Instance[],
  cells: (T | undefined)[][],
  show: (thing: T) => string | null,
): string[][] {
  return instances.map((instance, row) => [
    instance.name,
    ...(cells[row] ?? []).map((thing) => (thing === undefined ? '–' : (show(thing) ?? '–'))),
  ])
}

export function stateOf({ sync, targets }: FollowedSync): string {
  const bad = targets
    .filter((target) => target.error !== null)
    .map((target) => `${target.error?.type}: ${target.error?.message}`)
  const reasons = [sync.error?.message, ...new Set(bad)].filter((reason) => reason !== undefined)
  return `the run is ${sync.state}${reasons.length > 0 ? ` (${reasons.join('; ')})` : ''}`
}

export function sameJson(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}
