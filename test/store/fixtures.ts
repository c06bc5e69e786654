import { randomBytes } from 'node:crypto'
import { expect } from 'vitest'
import type { RemoteSpace } from '../../src/platforms/platform.ts'
import { type BindingRecord, ensureBindings } from '../../src/store/bindings.ts'
import { type DeploymentRecord, getDeployment } from '../../src/store/deployments.ts'
import { recordGone } from '../../src/store/gone.ts'
import { createInstance, type InstanceRecord, type NewInstance } from '../../src/store/instances.ts'
import { createPlatform, type PlatformRecord } from '../../src/store/platforms.ts'
import { allSpaces, type SpaceRecord, upsertSpaces } from '../../src/store/spaces.ts'
import type { Store } from '../../src/store/store.ts'

export function unique(prefix: string): string {
  return `${prefix} ${randomBytes(5).toString('hex')}`
}

export function remoteSpace(name: string, over: Partial<RemoteSpace> = {}): RemoteSpace {
  return {
    remoteId: name,
    name,
    ownerName: null,
    ownerEmail: null,
    role: null,
    archived: false,
    problem: null,
    ...over,
  }
}

export async function makePlatform(
  store: Store,
  over: { name?: string; remoteKey?: string } = {},
): Promise<PlatformRecord> {
  return createPlatform(store, {
    kind: 'dify',
    name: over.name ?? unique('Dify'),
    remoteKey: over.remoteKey ?? randomBytes(32).toString('hex'),
    settings: { edition: 'community', database: { host: 'db' } },
    credential: { password: 'pass "word"' },
  })
}

export async function makeInstance(store: Store, over: Partial<NewInstance> = {}): Promise<InstanceRecord> {
  return createInstance(store, {
    name: unique('MCP'),
    transport: 'streamable-http',
    url: 'http://mcp.test/mcp',
    ...over,
  })
}

export type World = {
  platform: PlatformRecord
  spaces: SpaceRecord[]
  instances: InstanceRecord[]
  bindings: BindingRecord[]
}

/** A platform with spaces, instances, and a binding for every cell, instance by instance. */
export async function makeWorld(store: Store, size: { spaces: number; instances: number }): Promise<World> {
  const platform = await makePlatform(store)
  await upsertSpaces(
    store,
    platform.id,
    Array.from({ length: size.spaces }, (_, index) => remoteSpace(`space ${index}`)),
  )
  const spaces = await allSpaces(store, platform.id)
  const instances: InstanceRecord[] = []
  for (let index = 0; index < size.instances; index++) instances.push(await makeInstance(store))
  const cells = instances.flatMap((instance) => spaces.map((space) => ({ instanceId: instance.id, spaceId: space.id })))
  return { platform, spaces, instances, bindings: await ensureBindings(store, cells) }
}

/** Its deployment, as a look at the platform begins with it. */
export async function seenOf(store: Store, bindingId: string): Promise<DeploymentRecord> {
  const deployment = await getDeployment(store, bindingId)
  if (deployment === null) throw new Error('there is no such binding')
  return deployment
}

/** Its object was seen to be gone from the platform. */
export async function markGone(store: Store, bindingId: string, syncId: string | null = null): Promise<void> {
  expect(await recordGone(store, bindingId, syncId, await seenOf(store, bindingId))).toBe(true)
}

/** The only one. */
export function one<T>(items: readonly T[]): T {
  const [item] = items
  if (item === undefined || items.length !== 1) throw new Error(`expected one item, got ${items.length}`)
  return item
}

export function at<T>(items: readonly T[], index: number): T {
  const item = items[index]
  if (item === undefined) throw new Error(`there is no item ${index}`)
  return item
}
