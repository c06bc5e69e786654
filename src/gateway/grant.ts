import { upstreamHeaders } from '../domain/upstream-headers.ts'
import type { ConfiguredHeaders } from './headers.ts'
import { configuredHeaders } from './headers.ts'
import type { GatewayCredential, GatewayInstance } from './view.ts'

/** What a caller's records mean for its requests, worked out once and kept while both records stand. */
export type Grant = {
  /** Where the upstream is, and the path (with its query) that is asked there. */
  origin: string
  path: string
  configured: ConfiguredHeaders
  /** null: every tool. */
  tools: ReadonlySet<string> | null
}

const grants = new WeakMap<GatewayInstance | GatewayCredential, { instance: GatewayInstance; grant: Grant }>()

/**
 * `credential` null: an anonymous caller. In anonymous mode the instance's own pass-through headers are used for everybody
 * (architecture §7). Throws TypeError when the instance's URL cannot be read.
 */
export function grantOf(instance: GatewayInstance, credential: GatewayCredential | null): Grant {
  const key = credential ?? instance
  const kept = grants.get(key)
  if (kept?.instance === instance) return kept.grant
  const url = new URL(instance.url)
  const passThrough =
    credential === null || instance.accessMode === 'anonymous'
      ? instance.defaultPassThrough
      : credential.passThroughHeaders
  const grant: Grant = {
    origin: url.origin,
    path: url.pathname + url.search,
    configured: configuredHeaders(upstreamHeaders(instance.headers, passThrough)),
    tools: credential === null || credential.toolAllowList === null ? null : new Set(credential.toolAllowList),
  }
  grants.set(key, { instance, grant })
  return grant
}
