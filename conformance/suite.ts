import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** The official conformance suite of the MCP project, run against a URL. */

export const REVISIONS = ['2025-11-25', '2026-07-28'] as const
export type Revision = (typeof REVISIONS)[number]

/** One check that a scenario made. `SKIPPED` and `INFO` count neither way. */
export type Check = { scenario: string; id: string; status: string; message: string }

const SCENARIO_TIMEOUT_MS = 60_000
const SCENARIO_DIRECTORY = /^server-(.+?)-\d{4}-\d\d-\d\dT/

/** Runs what the revision requires, and what the suite runs beside it without scoring. `url` must say `localhost`. */
export async function runSuite(url: string, revision: Revision): Promise<Check[]> {
  const results = await mkdtemp(join(tmpdir(), 'toolferry-conformance-'))
  try {
    const script = createRequire(import.meta.url).resolve('@modelcontextprotocol/conformance/dist/index.js')
    const suite = ['server', '--url', url, '--requirements', revision, '--timeout', String(SCENARIO_TIMEOUT_MS)]
    // Its exit code says whether checks failed, and so do the files; a suite that could not run leaves none.
    const { stdout } = await promisify(execFile)(process.execPath, [script, ...suite, '-o', results], {
      maxBuffer: 64 * 1024 * 1024,
    }).catch((error: { stdout?: string }) => ({ stdout: error.stdout ?? '' }))
    const checks = await readChecks(results)
    if (checks.length === 0) throw new Error(`the conformance suite made no check\n${stdout.slice(-2000)}`)
    return checks
  } finally {
    await rm(results, { recursive: true, force: true })
  }
}

/** The scenarios that the revision scores. */
export async function scoredScenarios(revision: Revision): Promise<Set<string>> {
  const path = createRequire(import.meta.url).resolve('@modelcontextprotocol/conformance/package.json')
  const text = await readFile(join(path, '..', 'requirements', `${revision}.yaml`), 'utf8')
  const list = /^server:\n((?: {2}- .*\n)+)/m.exec(text)?.[1] ?? ''
  return new Set(list.split('\n').flatMap((line) => (line === '' ? [] : [line.slice('  - '.length).trim()])))
}

export function passed(checks: readonly Check[]): number {
  return checks.filter(({ status }) => status === 'SUCCESS').length
}

export function failures(checks: readonly Check[]): Check[] {
  return checks.filter(({ status }) => status === 'FAILURE' || status === 'WARNING')
}

/** Checks that pass directly and do not through the gateway, as lines for a person. Repeated checks are counted. */
export function lost(direct: readonly Check[], through: readonly Check[]): string[] {
  const key = ({ scenario, id }: Check) => `${scenario}: ${id}`
  const open = Map.groupBy(
    through.filter(({ status }) => status === 'SUCCESS'),
    key,
  )
  return direct.flatMap((check) => {
    if (check.status !== 'SUCCESS' || open.get(key(check))?.pop() !== undefined) return []
    const instead = through
      .filter((other) => key(other) === key(check))
      .map(({ status, message }) => `${status} ${message}`)
    return [`${key(check)}: passes directly, through the gateway ${instead.join('; ') || 'it was not made'}`]
  })
}

async function readChecks(results: string): Promise<Check[]> {
  const all: Check[] = []
  for (const directory of await readdir(results)) {
    const scenario = SCENARIO_DIRECTORY.exec(directory)?.[1]
    if (scenario === undefined) continue
    const text = await readFile(join(results, directory, 'checks.json'), 'utf8')
    for (const { id, status, errorMessage } of JSON.parse(text)) {
      all.push({ scenario, id, status, message: errorMessage ?? '' })
    }
  }
  return all
}
