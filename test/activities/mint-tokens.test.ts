import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { mintTokens } from '../../activities/mint-tokens.ts'
import { listTargetsForSpace } from '../../src/store/sync-targets.ts'
import { activeTokens } from '../../src/store/tokens.ts'
import { at } from '../store/fixtures.ts'
import { manyTools, type ScriptedServer, startScriptedServer } from '../support/scripted-mcp-server.ts'
import { type ActivityWorld, openActivityWorld } from './activity-world.ts'

/** Proofs of a space's tokens, one server of which asks to slow down. The gateway is played by one MCP server. */

let world: ActivityWorld
let gateway: ScriptedServer
let limitedId = ''

beforeAll(async () => {
  world = await openActivityWorld({ spaces: 1, instances: 12 })
  limitedId = at(world.instances, 0).id
  gateway = await startScriptedServer({
    tools: manyTools(1),
    intercept: (request, response) => {
      if (request.url?.includes(limitedId) !== true) return false
      response.writeHead(429, { 'retry-after': '60' }).end()
      return true
    },
  })
  world.deps.gatewayUrl = () => new URL(gateway.url).origin
})
afterAll(async () => {
  await gateway?.stop()
  await world?.close()
})

describe('an MCP server that answers 429 to every proof', () => {
  it('costs its own target alone: the others are proven, and it ends after its attempts', async () => {
    const { deps } = world
    const sync = await world.newSync()
    const spaceId = at(world.spaces, 0).id
    const mint = () => world.run(() => mintTokens(deps, { syncId: sync.id, spaceId }))
    for (let attempt = 1; attempt < deps.limits.targetAttempts; attempt++) {
      await expect(mint()).rejects.toMatchObject({ type: 'RateLimited', nextRetryDelay: 60_000 })
    }
    expect(await mint()).toMatchObject({ toWrite: 11, counts: { failed: 1, pending: 11 } })
    const targets = await listTargetsForSpace(deps.store, sync.id, spaceId)
    const failed = targets.filter((target) => target.state === 'failed')
    expect(failed).toMatchObject([{ instanceId: limitedId, errorType: 'RateLimited' }])
    const tokens = await activeTokens(
      deps.store,
      world.bindings.map(({ id }) => id),
    )
    expect([...tokens.values()].filter(({ provenAt }) => provenAt !== null)).toHaveLength(11)
  })
})

describe('a gateway that is away', () => {
  it('is named as such, not its MCP servers, and soon', async () => {
    const other = await openActivityWorld({ spaces: 1, instances: 2 })
    try {
      const stopped = await startScriptedServer()
      other.deps.gatewayUrl = () => new URL(stopped.url).origin
      await stopped.stop()
      const sync = await other.newSync()
      const spaceId = at(other.spaces, 0).id
      const mint = () => other.run(() => mintTokens(other.deps, { syncId: sync.id, spaceId }))
      for (let attempt = 1; attempt < other.deps.limits.targetAttempts; attempt++) {
        await expect(mint()).rejects.toMatchObject({ type: 'GatewayUnreachable', nonRetryable: false })
      }
      expect(await mint()).toMatchObject({ toWrite: 0, counts: { failed: 2 } })
      const targets = await listTargetsForSpace(other.deps.store, sync.id, spaceId)
      expect(targets.map(({ errorType }) => errorType)).toEqual(['GatewayUnreachable', 'GatewayUnreachable'])
    } finally {
      await other.close()
    }
  })
})
