import { expect, test } from 'vitest'
import { report, runConformance } from '../../conformance/run.ts'
import { mintToken } from '../../src/domain/token.ts'
import { createWorld } from './world.ts'

test('the official suite passes through the gateway as it passes directly, DNS-rebinding checks at the gateway', async () => {
  const outcomes = await runConformance(async ({ port }) => {
    // The suite cannot send a token, so each of its requests gets one on arrival.
    const token = mintToken('tfg')
    const world = await createWorld({
      before: (req) => {
        req.headers['x-api-key'] = token
      },
    })
    const instance = world.view.addInstance({ url: `http://127.0.0.1:${port}/mcp` })
    world.view.addToken(instance, { token })
    const { port: gatewayPort } = new URL(world.origin)
    return {
      url: `http://localhost:${gatewayPort}/mcp-gateway/${instance.id}/mcp`,
      stop: () => world.close(),
    }
  })
  console.log(report(outcomes))
  expect(outcomes.map(({ revision }) => revision)).toEqual(['2025-11-25', '2026-07-28'])
  for (const { direct, through, scoredFailures, lost } of outcomes) {
    expect(scoredFailures).toEqual([])
    expect(lost).toEqual([])
    const rebinding = through.filter(
      ({ scenario, id }) => scenario === 'dns-rebinding-protection' && id.startsWith('localhost'),
    )
    expect(rebinding.map(({ status }) => status)).toEqual(['SUCCESS', 'SUCCESS'])
    expect(through.length).toBeGreaterThanOrEqual(direct.length)
    // Every scenario was there: an empty suite would lose nothing.
    expect(direct.length).toBeGreaterThan(80)
  }
}, 180_000)
