import { createHash } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { ToolferryError } from '../../src/domain/errors.ts'
import type { NormalisedObject, RemoteIdentity } from '../../src/domain/object.ts'
import { compareFields, digestsAfterWrite, type FieldDigests, planTarget } from '../../src/domain/plan.ts'
import type {
  AppliedObject,
  DesiredObject,
  Platform,
  SpaceReading,
  SpaceRef,
  SpaceWriter,
} from '../../src/platforms/platform.ts'

/** What every adapter has to keep, whatever platform is behind it. Each adapter's tests call `describePlatformContract`. */

export type ContractSpace = {
  ref: SpaceRef
  /** Everything of the space as it stands on the platform, comparable: any write to it must show. */
  snapshot(): Promise<unknown>
  /** How many objects stand there, ours and others'. */
  count(): Promise<number>
  /** An object made by somebody else, that calls `url`; answers its id there. */
  addForeign(url: string, name?: string): Promise<string>
  /** Whether an object with this id stands there. */
  has(remoteId: string): Promise<boolean>
  /** Deletes an object behind Toolferry's back. */
  deleteBehindOurBack(remoteId: string): Promise<void>
}

export type ContractWorld = {
  /** Another adapter to the same platform, as another process would have. */
  openPlatform(): Platform
  addSpace(): Promise<ContractSpace>
  desired(change: Partial<DesiredObject> & { instanceId: string }): DesiredObject
  close(): Promise<void>
}

/** `locksSpaces`: the platform has a lock of its own for a space. Where it has none (COZE), the product's lease is all there is. */
export function describePlatformContract(
  name: string,
  openWorld: () => Promise<ContractWorld>,
  traits: { locksSpaces: boolean } = { locksSpaces: true },
): void {
  describe(`the platform contract, ${name}`, () => {
    let world: ContractWorld
    let platform: Platform
    let space: ContractSpace

    beforeAll(async () => {
      world = await openWorld()
      platform = world.openPlatform()
    })
    afterAll(async () => {
      await platform.close()
      await world.close()
    })
    beforeEach(async () => {
      space = await world.addSpace()
    })

    it('is checked, and lists its spaces', async () => {
      expect(await platform.check({ signal: never() })).toMatchObject({ ok: true, error: null })
      const found = (await platform.listSpaces({ signal: never() })).find(
        ({ remoteId }) => remoteId === space.ref.remoteId,
      )
      expect(found).toMatchObject({ archived: false, problem: null })
    })

    it('writes what it normalised, and reads back what it answered', async () => {
      const cell = new Cell(platform, space)
      const { applied } = await cell.sync(world.desired({ instanceId: 'a' }))
      expect(applied?.wrote).toBe(true)
      const reading = await cell.read(world.desired({ instanceId: 'a' }))
      expect(reading.problem).toBeNull()
      expect(reading.inTheWay.size + (reading.refused?.size ?? 0)).toBe(0)
      expect(reading.objects.get(cell.bindingId)).toMatchObject({
        identity: applied?.identity,
        stored: applied?.stored,
        shown: applied?.shown,
        tools: applied?.tools,
        brokenFields: [],
      })
    })

    it('normalises without side effects: twice the same, and never a secret outside its field', () => {
      const desired = world.desired({ instanceId: 'a' })
      const once = platform.normalise(desired)
      expect(platform.normalise(desired)).toEqual(once)
      const shown = Object.entries(once.fields).filter(([field]) => !once.secretFields.includes(field))
      expect(JSON.stringify(shown)).not.toContain(desired.authorization)
    })

    it('leaves an unchanged object untouched', async () => {
      const cell = new Cell(platform, space)
      await cell.sync(world.desired({ instanceId: 'a' }))
      const before = await space.snapshot()
      expect((await cell.sync(world.desired({ instanceId: 'a' }))).action).toBe('unchanged')
      expect((await cell.apply(world.desired({ instanceId: 'a' }))).wrote).toBe(false)
      expect(await space.snapshot()).toEqual(before)
    })

    it('updates in place', async () => {
      const cell = new Cell(platform, space)
      const { applied } = await cell.sync(world.desired({ instanceId: 'a' }))
      const changed = world.desired({ instanceId: 'a', tools: [] })
      expect((await cell.sync(changed)).action).toBe('update')
      expect(cell.identity).toEqual(applied?.identity)
      expect(await space.count()).toBe(1)
      expect((await cell.sync(changed)).action).toBe('unchanged')
    })

    it('keeps objects of several instances apart', async () => {
      const cells = ['a', 'b', 'c'].map((instanceId) => ({ instanceId, cell: new Cell(platform, space, instanceId) }))
      for (const { instanceId, cell } of cells) await cell.sync(world.desired({ instanceId }))
      expect(await space.count()).toBe(3)
      for (const { instanceId, cell } of cells) {
        expect((await cell.sync(world.desired({ instanceId }))).action).toBe('unchanged')
      }
    })

    it('never touches what others made: not to create, not to update, not to remove', async () => {
      const desired = world.desired({ instanceId: 'a' })
      const foreign = await space.addForeign(desired.url)
      const before = await space.snapshot()
      const cell = new Cell(platform, space)
      expect((await cell.sync(desired)).action).toBe('conflict')
      await expect(cell.apply(desired)).rejects.toMatchObject({ type: 'Conflict' })
      expect(await space.snapshot()).toEqual(before)

      const free = world.desired({ instanceId: 'b' })
      const other = new Cell(platform, space, 'b')
      await other.sync(free)
      await other.remove()
      expect(await space.snapshot()).toEqual(before)
      expect(await space.has(foreign)).toBe(true)
    })

    it('finds what may be adopted: in the way, by its id, or calling the MCP server itself; nothing of another space', async () => {
      const cell = new Cell(platform, space)
      const desired = platform.normalise(world.desired({ instanceId: 'adoptable' }))
      const look = (remoteId: string | null, upstreamUrl = 'https://upstream.example.com/mcp') => {
        const identity = platform.proposeIdentity('adoptable')
        return platform.findAdoptable(space.ref, { remoteId, identity, desired, upstreamUrl }, { signal: never() })
      }
      expect(await look(null)).toBeNull()
      const elsewhere = await (await world.addSpace()).addForeign(desired.fields.url ?? '', desired.fields.name)
      expect([await look(null), await look(elsewhere), await look('no-such-id')]).toEqual([null, null, null])
      const direct = await space.addForeign('https://upstream.example.com/mcp', desired.fields.name)
      expect((await look(null))?.identity.id).toBe(direct)
      expect(await look(null, 'https://other.example.com/mcp')).toBeNull()
      await space.deleteBehindOurBack(direct)
      const named = await space.addForeign('https://else.example.com/mcp', 'Another name')
      expect((await look(named))?.identity.id).toBe(named)
      const inTheWay = await space.addForeign(desired.fields.url ?? '', desired.fields.name)
      const found = await look(null)
      expect([found?.identity.id, found?.shown.name]).toEqual([inTheWay, desired.fields.name])
      // From then on it is ours like any other: written in place, and unchanged afterwards.
      cell.identity = found?.identity ?? null
      expect((await cell.sync(world.desired({ instanceId: 'adoptable' }))).action).toBe('update')
      expect((await cell.sync(world.desired({ instanceId: 'adoptable' }))).action).toBe('unchanged')
      expect(await space.has(inTheWay)).toBe(true)
      expect(await space.count()).toBe(2)
    })

    it('removes only ours, and once more is fine', async () => {
      const [mine, kept] = [new Cell(platform, space, 'a'), new Cell(platform, space, 'b')]
      await mine.sync(world.desired({ instanceId: 'a' }))
      await kept.sync(world.desired({ instanceId: 'b' }))
      await mine.remove()
      await mine.remove()
      expect(await space.count()).toBe(1)
      expect((await kept.sync(world.desired({ instanceId: 'b' }))).action).toBe('unchanged')
    })

    it('does not remove from another space', async () => {
      const cell = new Cell(platform, space)
      await cell.sync(world.desired({ instanceId: 'a' }))
      const before = await space.snapshot()
      const elsewhere = new Cell(platform, await world.addSpace())
      elsewhere.identity = cell.identity
      await elsewhere.remove().catch(() => {})
      expect(await space.snapshot()).toEqual(before)
    })

    it('writes nothing when the fence throws: no create, no update, no remove', async () => {
      const fence = async (): Promise<void> => {
        throw new ToolferryError('SpaceBusy', 'The lease has passed on.')
      }
      const cell = new Cell(platform, space)
      await expect(cell.apply(world.desired({ instanceId: 'a' }), { fence })).rejects.toMatchObject({
        type: 'SpaceBusy',
      })
      expect(await space.count()).toBe(0)
      await cell.sync(world.desired({ instanceId: 'a' }))
      const before = await space.snapshot()
      const changed = world.desired({ instanceId: 'a', tools: [] })
      await expect(cell.apply(changed, { fence })).rejects.toMatchObject({ type: 'SpaceBusy' })
      await expect(cell.remove({ fence })).rejects.toMatchObject({ type: 'SpaceBusy' })
      expect(await space.snapshot()).toEqual(before)
    })

    it('is asked for the fence before each write, and not for what is unchanged', async () => {
      let asked = 0
      const fence = async (): Promise<void> => {
        asked += 1
      }
      const cell = new Cell(platform, space)
      await cell.apply(world.desired({ instanceId: 'a' }), { fence })
      expect(asked).toBeGreaterThanOrEqual(1)
      const after = asked
      await cell.apply(world.desired({ instanceId: 'a' }), { fence })
      expect(asked).toBe(after)
    })

    it('writes nothing after an abort, and rejects with its reason', async () => {
      const controller = new AbortController()
      const cell = new Cell(platform, space)
      const fence = async (): Promise<void> => controller.abort(new Error('cancelled by hand'))
      await expect(
        cell.apply(world.desired({ instanceId: 'a' }), { fence, signal: controller.signal }),
      ).rejects.toThrow('cancelled by hand')
      expect(await space.count()).toBe(0)

      const aborted = AbortSignal.abort(new Error('already over'))
      await expect(platform.listSpaces({ signal: aborted })).rejects.toThrow('already over')
      await expect(cell.read(world.desired({ instanceId: 'a' }), aborted)).rejects.toThrow('already over')
      await expect(platform.openSpace(space.ref, { signal: aborted, fence: async () => {} })).rejects.toThrow(
        'already over',
      )
    })

    it('makes no second object when a crash came between its write and our record', async () => {
      const desired = world.desired({ instanceId: 'a' })
      const cell = new Cell(platform, space)
      const { identity, checkpoint } = cell
      await cell.apply(desired)
      // The process died here: nothing of the answer was kept but what was saved before and on the way.
      const again = new Cell(world.openPlatform(), space)
      again.identity = identity ?? cell.identity
      again.checkpoint = cell.checkpoint ?? checkpoint
      await again.apply(desired)
      expect(await space.count()).toBe(1)
      expect((await again.sync(desired)).action).toBe('unchanged')
      await again.close()
    })

    it('makes again what was deleted behind our back', async () => {
      const cell = new Cell(platform, space)
      const desired = world.desired({ instanceId: 'a' })
      await cell.sync(desired)
      await space.deleteBehindOurBack(cell.identity?.id ?? '')
      expect((await cell.sync(desired)).action).toBe('create')
      expect(await space.count()).toBe(1)
    })

    if (traits.locksSpaces) {
      it('of two processes that write the same at once makes one object', async () => {
        const others = [world.openPlatform(), world.openPlatform()]
        const first = new Cell(platform, space)
        const desired = world.desired({ instanceId: 'a' })
        await Promise.all(
          others.map(async (other) => {
            const cell = new Cell(other, space)
            cell.identity = first.identity
            await cell.apply(desired)
          }),
        )
        await Promise.all(others.map((other) => other.close()))
        expect(await space.count()).toBe(1)
      })
    }

    it('says that a space is gone', async () => {
      const reading = await platform.read({ ...space.ref, remoteId: crypto.randomUUID() }, [], { signal: never() })
      expect(reading.problem?.type).toBe('TargetGone')
    })
  })
}

function never(): AbortSignal {
  return new AbortController().signal
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** One instance in one space with what the product keeps of it: the real planner decides. */
class Cell {
  readonly bindingId: string
  identity: RemoteIdentity | null
  checkpoint: { step: string; data: unknown } | null = null
  #digests: FieldDigests | null = null
  readonly #platform: Platform
  readonly #space: ContractSpace

  constructor(platform: Platform, space: ContractSpace, instanceId = 'a') {
    this.#platform = platform
    this.#space = space
    this.bindingId = `binding-${instanceId}`
    this.identity = platform.proposeIdentity(instanceId)
  }

  async read(object: DesiredObject, signal = never()): Promise<SpaceReading> {
    const desired = this.#platform.normalise(object)
    return await this.#platform.read(
      this.#space.ref,
      [{ bindingId: this.bindingId, identity: this.identity, desired }],
      { signal },
    )
  }

  async sync(object: DesiredObject): Promise<{ action: string | null; applied: AppliedObject | null }> {
    const reading = await this.read(object)
    const plan = planTarget(
      {
        action: 'sync',
        writePolicy: 'upsert-only',
        right: 'granted',
        desired: this.#platform.normalise(object),
        desiredError: reading.refused?.get(this.bindingId) ?? null,
        unknownFields: [],
        recorded: { identity: this.identity, state: 'in_sync', digests: this.#digests },
        spaceProblem: reading.problem,
        observed: reading.objects.get(this.bindingId) ?? null,
        inTheWay: reading.inTheWay.get(this.bindingId) ?? null,
      },
      digest,
    )
    if (plan.action !== 'create' && plan.action !== 'update') return { action: plan.action, applied: null }
    return { action: plan.action, applied: await this.apply(object) }
  }

  async apply(object: DesiredObject, options: Opening = {}): Promise<AppliedObject> {
    const desired: NormalisedObject = this.#platform.normalise(object)
    let wrote: string[] = []
    await using writer = await this.#open(options)
    const applied = await writer.apply({
      action: 'create',
      bindingId: this.bindingId,
      identity: this.identity,
      desired,
      checkpoint: this.checkpoint,
      saveCheckpoint: async (step, data) => {
        this.checkpoint = { step, data }
      },
      clearCheckpoint: async () => {
        this.checkpoint = null
      },
      fieldsToWrite: (observed) => {
        wrote =
          observed === null
            ? Object.keys(desired.fields)
            : compareFields(desired, this.#digests, observed, digest).write
        return wrote
      },
    })
    this.identity = applied.identity
    this.#digests = digestsAfterWrite(desired, applied.stored, wrote, this.#digests, digest)
    return applied
  }

  async remove(options: Opening = {}): Promise<void> {
    if (this.identity === null) return
    await using writer = await this.#open(options)
    await writer.remove(this.identity)
  }

  async close(): Promise<void> {
    await this.#platform.close()
  }

  #open(options: Opening): Promise<SpaceWriter> {
    return this.#platform.openSpace(this.#space.ref, {
      signal: options.signal ?? never(),
      fence: options.fence ?? (async () => {}),
    })
  }
}

type Opening = { signal?: AbortSignal; fence?: () => Promise<void> }
