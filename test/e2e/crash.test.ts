import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createDifyDatabase, type DifyTestDatabase, type TestWorkspace } from '../support/dify-database.ts'
import { finished, type OneProcess, startProduct, targetsOf } from '../support/product.ts'
import { manyTools, type ScriptedServer, startScriptedServer } from '../support/scripted-mcp-server.ts'

/** What a crash may cost: nothing. */

const INSTANCES = 12
const WORKSPACES = 10

let product: OneProcess
let dify: DifyTestDatabase
let servers: ScriptedServer[] = []
const workspaces: TestWorkspace[] = []

beforeAll(async () => {
  ;[dify, servers, product] = await Promise.all([
    createDifyDatabase(),
    Promise.all(Array.from({ length: INSTANCES }, (_, index) => startScriptedServer({ tools: manyTools(index + 1) }))),
    startProduct(),
  ])
  for (let index = 1; index <= WORKSPACES; index++)
    workspaces.push(await dify.addWorkspace({ name: `Workspace ${index}` }))
})

afterAll(async () => {
  await product?.stop()
  await Promise.all(servers.map((server) => server.stop()))
  await dify?.drop()
})

describe('SIGKILL of the whole product while it writes 120 targets', () => {
  it('ends succeeded after a restart, with exactly one provider per instance and workspace', async () => {
    const platform = await product.must<{ id: string }>(201, 'POST', '/platforms', {
      kind: 'dify',
      name: 'Dify',
      edition: 'community',
      database: { ...dify.connection, password: 'unused', tls: 'disable' },
    })
    await product.must(200, 'GET', `/platforms/${platform.id}/spaces?refresh=true`)
    const instanceIds: string[] = []
    for (const [index, server] of servers.entries()) {
      const instance = await product.must<{ id: string }>(201, 'POST', '/instances', {
        name: `Server ${index + 1}`,
        transport: 'streamable-http',
        url: server.url,
      })
      instanceIds.push(instance.id)
    }
    const run = await product.must<{ id: string }>(202, 'POST', '/syncs', {
      platformId: platform.id,
      instanceIds,
      spaceIds: 'all',
      acceptWarnings: true,
    })

    // In the middle: some rows are there, most are not.
    const rowsAtKill = await untilRows(dify, 30)
    await product.kill()
    const rowsAfterKill = (await dify.rows()).length
    expect(rowsAtKill).toBeLessThan(INSTANCES * WORKSPACES)
    expect(rowsAfterKill).toBeLessThan(INSTANCES * WORKSPACES)

    await product.restart()
    const ended = await finished(product, run.id, 150_000)
    expect(ended).toMatchObject({ state: 'succeeded', counts: { total: 120, failed: 0, conflict: 0, pending: 0 } })

    const perCell = await dify.query(
      'SELECT tenant_id, server_identifier, count(*)::int AS rows FROM tool_mcp_providers GROUP BY 1, 2',
    )
    expect(perCell).toHaveLength(INSTANCES * WORKSPACES)
    expect(new Set(perCell.map((cell) => cell.rows))).toEqual(new Set([1]))
    for (const workspace of workspaces) expect(await dify.checkRows(workspace)).toHaveLength(INSTANCES)

    const targets = await targetsOf(product, run.id)
    expect(new Set(targets.map((target) => target.state))).toEqual(new Set(['succeeded']))
    const tokens = await product.must<{ items: { token: { state: string } | null; deployment: { state: string } }[] }>(
      200,
      'GET',
      '/bindings?limit=200',
    )
    expect(tokens.items).toHaveLength(120)
    expect(new Set(tokens.items.map((item) => item.deployment.state))).toEqual(new Set(['in_sync']))
  }, 300_000)
})

/** Waits until at least so many providers are in Dify's database. */
async function untilRows(database: DifyTestDatabase, atLeast: number): Promise<number> {
  for (;;) {
    const count = (await database.rows()).length
    if (count >= atLeast) return count
  }
}
