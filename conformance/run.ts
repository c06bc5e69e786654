import type { ReferenceServer } from './reference-server.ts'
import { REFERENCE_NAME, startReferenceServer } from './reference-server.ts'
import { type Check, failures, lost, passed, REVISIONS, type Revision, runSuite, scoredScenarios } from './suite.ts'

export type Outcome = {
  revision: Revision
  direct: Check[]
  through: Check[]
  /** Of the direct run, within what the revision scores. */
  scoredFailures: Check[]
  lost: string[]
}

/** A gateway in front of the reference server; `url` is where it serves it, with all that a request must carry. */
export type Fronted = { url: string; stop(): Promise<void> }

/** Runs both requirement sets directly and through the gateway, one after the other. */
export async function runConformance(front: (upstream: ReferenceServer) => Promise<Fronted>): Promise<Outcome[]> {
  const upstream = await startReferenceServer()
  try {
    const gateway = await front(upstream)
    try {
      const outcomes: Outcome[] = []
      const directUrl = `http://localhost:${upstream.port}/mcp`
      await assertIdentity(directUrl)
      await assertIdentity(gateway.url)
      for (const revision of REVISIONS) {
        const direct = await runSuite(directUrl, revision)
        const through = await runSuite(gateway.url, revision)
        const scored = await scoredScenarios(revision)
        const scoredFailures = failures(direct).filter(({ scenario }) => scored.has(scenario))
        outcomes.push({ revision, direct, through, scoredFailures, lost: lost(direct, through) })
      }
      return outcomes
    } finally {
      await gateway.stop()
    }
  } finally {
    await upstream.stop()
  }
}

/** Lines for a person. */
export function report(outcomes: readonly Outcome[]): string {
  return outcomes
    .flatMap(({ revision, direct, through, scoredFailures, lost: worse }) => {
      const count = (checks: Check[]) => `${passed(checks)} of ${passed(checks) + failures(checks).length} checks`
      return [
        `conformance ${revision}: directly ${count(direct)}, through the gateway ${count(through)}`,
        ...scoredFailures.map(
          ({ scenario, id, message }) => `  scored, fails directly: ${scenario}: ${id}: ${message}`,
        ),
        ...worse.map((line) => `  ${line}`),
      ]
    })
    .join('\n')
}

/** Another listener on the same port could answer in its place, and the score would be that one's. */
async function assertIdentity(url: string): Promise<void> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'initialize',
      params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'identity', version: '1' } },
    }),
  })
  const text = await response.text()
  if (!text.includes(REFERENCE_NAME)) throw new Error(`another server answers at ${new URL(url).origin}`)
}
