import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Platform, WantedObject } from '../../../src/platforms/platform.ts'
import {
  addMember,
  createDifyDatabase,
  type DifyTestDatabase,
  type TestWorkspace,
  testKey,
} from '../../support/dify-database.ts'
import { changeFor, desiredObject, ENGINES, never, openPlatform, openWriter, spaceOf } from './harness.ts'

/** What a run costs Dify's database, counted where statements are sent: BEGIN, COMMIT and session settings included. */
describe.each(ENGINES)('statements on %s', (engine) => {
  let db: DifyTestDatabase
  let platform: Platform
  let sent: string[]

  beforeEach(async () => {
    db = await createDifyDatabase({ engine })
    sent = []
    platform = openPlatform(db, {}, { onStatement: (text) => sent.push(text.trim().split(/\s+/)[0] ?? '') })
  })
  afterEach(async () => {
    await platform.close()
    await db.drop()
  })

  function wantedIn(instances: number): WantedObject[] {
    return Array.from({ length: instances }, (_, i) => ({
      bindingId: `b${i}`,
      identity: platform.proposeIdentity(`instance-${i}`),
      desired: platform.normalise(desiredObject({ instanceId: `instance-${i}`, name: `Instance ${i}` })),
    }))
  }

  async function plan(workspaces: { workspace: TestWorkspace; wanted: WantedObject[] }[]): Promise<number> {
    let found = 0
    for (const { workspace, wanted } of workspaces) {
      found += (await platform.read(spaceOf(workspace), wanted, { signal: never() })).objects.size
    }
    return found
  }

  it('a cold run costs at most 6 a target, reading, locking and verifying included; an unchanged one 2 a workspace, and no write', async () => {
    const [spaces, instances] = [6, 10]
    const cells: { workspace: TestWorkspace; wanted: WantedObject[] }[] = []
    for (let i = 0; i < spaces; i += 1) {
      cells.push({ workspace: await db.addWorkspace({ name: `w${i}` }), wanted: wantedIn(instances) })
    }
    expect(await plan(cells)).toBe(0)
    for (const { workspace, wanted } of cells) {
      await using writer = await openWriter(platform, workspace)
      for (const { desired, identity } of wanted) if (desired !== null) await writer.apply(changeFor(desired, identity))
    }
    expect(await plan(cells)).toBe(spaces * instances)
    expect(sent.length).toBeLessThanOrEqual(6 * spaces * instances)

    await platform.close()
    platform = openPlatform(db, {}, { onStatement: (text) => sent.push(text.trim().split(/\s+/)[0] ?? '') })
    sent = []
    expect(await plan(cells)).toBe(spaces * instances)
    expect(sent.length).toBeLessThanOrEqual(2 * spaces)
    expect(sent.filter((word) => /^(INSERT|UPDATE|DELETE|START|BEGIN)$/i.test(word))).toEqual([])
  })

  it('an update in place costs at most 6', async () => {
    const workspace = await db.addWorkspace({ name: 'w' })
    const identity = platform.proposeIdentity('i')
    const desired = platform.normalise(desiredObject())
    await using writer = await openWriter(platform, workspace)
    await writer.apply(changeFor(desired, identity))
    sent = []
    await writer.apply(changeFor(desired, identity))
    expect(sent.length).toBeLessThanOrEqual(6)
  })

  it('a list of many workspaces, each with several owners, is one statement, and reads no account that is not shown', async () => {
    const count = 1_500
    const numbers = Array.from({ length: count }, (_, i) => i)
    const id = (kind: number, i: number): string => `00000000-0000-4000-800${kind}-${String(i).padStart(12, '0')}`
    for (let start = 0; start < count; start += 500) {
      const part = numbers.slice(start, start + 500)
      const values = (row: (i: number) => string): string => part.map(row).join(', ')
      const key = testKey().publicKeyPem
      await db.query(
        `INSERT INTO tenants (id, name, encrypt_public_key) VALUES ${values((i) => `('${id(1, i)}', 'w${i}', '${key}')`)}`,
      )
      for (const place of [2, 3]) {
        await db.query(
          `INSERT INTO accounts (id, name, email) VALUES ${values((i) => `('${id(place, i)}', 'p${place}-${i}', 'p@example.com')`)}`,
        )
        await db.query(
          `INSERT INTO tenant_account_joins (id, tenant_id, account_id, role) VALUES ${values((i) => `('${id(place + 2, i)}', '${id(1, i)}', '${id(place, i)}', 'owner')`)}`,
        )
      }
    }
    await addMember(db.query, id(1, 0), { name: 'A first', email: 'first@example.com' })
    await platform.check({ signal: never() })
    sent = []
    const spaces = await platform.listSpaces({ signal: never() })
    expect(sent).toHaveLength(1)
    expect(spaces).toHaveLength(count)
    expect(new Set(spaces.map(({ remoteId }) => remoteId)).size).toBe(count)
    expect(spaces.filter(({ ownerName }) => ownerName?.startsWith('p2-'))).toHaveLength(count - 1)
    expect(spaces.find(({ remoteId }) => remoteId === id(1, 0))?.ownerName).toBe('A first')
  })
})
