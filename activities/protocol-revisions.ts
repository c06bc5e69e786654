import type { ActivityDeps } from './deps.ts'

/** The revision of MCP that each server agreed to, by instance: a hint of this process, which may be wrong. */

/** Revisions are dates; this one came without the initialize handshake. */
const FIRST_OF_THE_NEW = '2026-07-28'
const legacyServers = new WeakMap<ActivityDeps, Map<string, string>>()

/** Of the servers that shook hands the old way. */
export function legacyRevisions(deps: ActivityDeps): ReadonlyMap<string, string> {
  return mapOf(deps)
}

/** What a handshake with the server ended in. */
export function noteRevision(deps: ActivityDeps, instanceId: string, protocolVersion: string): void {
  if (protocolVersion < FIRST_OF_THE_NEW) mapOf(deps).set(instanceId, protocolVersion)
  else mapOf(deps).delete(instanceId)
}

function mapOf(deps: ActivityDeps): Map<string, string> {
  const known = legacyServers.get(deps) ?? new Map<string, string>()
  legacyServers.set(deps, known)
  return known
}
