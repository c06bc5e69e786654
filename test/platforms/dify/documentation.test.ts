import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { createDifyDatabase } from '../../support/dify-database.ts'
import { desiredObject, ENGINES, never, openPlatform, openWriter, RecordedTarget, spaceOf } from './harness.ts'

const DOCUMENT = readFileSync(new URL('../../../docs/dify.md', import.meta.url), 'utf8')

/** The role script of the documentation, for a database, role and password of the test's own. */
function roleScript(
  engine: 'postgresql' | 'mysql',
  names: { database: string; role: string; password: string },
): string[] {
  const scripts = [...DOCUMENT.matchAll(/```sql\n([^`]+)```/g)].map((match) => match[1] ?? '')
  const script = scripts[engine === 'postgresql' ? 0 : 1]
  if (script === undefined) throw new Error('docs/dify.md has no script for this engine')
  return script
    .replaceAll(
      engine === 'postgresql' ? 'DATABASE dify ' : 'dify.',
      engine === 'postgresql' ? `DATABASE ${names.database} ` : `${names.database}.`,
    )
    .replaceAll('toolferry', names.role)
    .replaceAll('choose-a-long-one', names.password)
    .trim()
    .split(';')
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '')
}

it.each(ENGINES)(
  'the role that docs/dify.md makes on %s can do all that is needed, and nothing else',
  async (engine) => {
    const db = await createDifyDatabase({ engine })
    const role = `tf_doc_${randomBytes(5).toString('hex')}`
    const password = 'a long one'
    const statements = roleScript(engine, { database: db.connection.database, role, password })
    expect(statements.length).toBeGreaterThanOrEqual(6)
    try {
      for (const statement of statements) await db.query(statement)
      const workspace = await db.addWorkspace({ name: 'least privilege' })
      const statementsSent: string[] = []
      const platform = openPlatform(db, { user: role, password }, { onStatement: (text) => statementsSent.push(text) })
      expect(await platform.check({ signal: never() })).toMatchObject({ ok: true, error: null, spaces: 1 })
      expect(await platform.listSpaces({ signal: never() })).toHaveLength(1)
      const target = new RecordedTarget(platform, workspace)
      expect((await target.sync(desiredObject())).plan.action).toBe('create')
      expect(await db.checkRows(workspace)).toHaveLength(1)
      expect((await target.sync(desiredObject({ tools: [] }))).plan.action).toBe('update')
      expect((await platform.read(spaceOf(workspace), [], { signal: never() })).problem).toBeNull()
      {
        await using writer = await openWriter(platform, workspace)
        await writer.remove(target.identity)
      }
      expect(await db.rows(workspace.tenantId)).toEqual([])
      await platform.close()
      // Nothing but the one table is written.
      const writes = statementsSent.filter((text) => /^\s*(INSERT|UPDATE|DELETE)/i.test(text))
      expect(writes.length).toBeGreaterThanOrEqual(3)
      for (const text of writes) expect(text).toContain('tool_mcp_providers')
    } finally {
      if (engine === 'postgresql') {
        await db.query(`DROP OWNED BY ${role}`)
        await db.query(`DROP ROLE ${role}`)
      } else {
        await db.query(`DROP USER '${role}'@'%'`)
      }
      await db.drop()
    }
  },
)
