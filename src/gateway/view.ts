import type { McpTransport } from '../domain/tool.ts'

/**
 * What the gateway needs of the store. The store implements it (src/store/gateway-view.ts); tests do so in memory.
 * Records are plain, opened (no sealed columns) and never changed after they were handed over.
 */
export type GatewayView = {
  /** The lookup hash of a token: HMAC-SHA-256 with the installation's pepper, hex. Sync: it is on the hot path. */
  tokenHash(token: string): string
  /** Everything the gateway serves, read in one consistent snapshot together with its revision. Revoked tokens may be left out. */
  loadAll(): Promise<GatewayRecords>
  /**
   * The current revision, and the records stamped after `revision`. Polled several times a second, so with nothing new it
   * must cost one small read. A credential counts as changed when its token or its binding changed, and also when its
   * instance's default pass-through headers changed and the binding inherits them. Revoked tokens must be in it.
   * Reading more than was asked (or the same record twice) is harmless.
   */
  changesSince(revision: number): Promise<GatewayRecords>
  /** One credential by its hash with its instance, straight from the store; null if there is none. Revoked ones count as found. */
  findByHash(hash: string): Promise<FoundCredential | null>
  /** Calls the listener after a commit of this process that bumped the revision. Returns how to stop. */
  onRevision(listener: (revision: number) => void): () => void
}

export type GatewayRecords = {
  revision: number
  instances: GatewayInstance[]
  credentials: GatewayCredential[]
}

export type FoundCredential = { credential: GatewayCredential; instance: GatewayInstance }

export type GatewayInstance = {
  id: string
  /** The upstream's URL; its query, if any, is kept on every request. */
  url: string
  transport: McpTransport
  /** Sent upstream on every request. */
  headers: Record<string, string>
  /** For anonymous callers, and already inside `passThroughHeaders` of the bindings that inherit. */
  defaultPassThrough: Record<string, string>
  accessMode: 'token' | 'anonymous'
  /** The client's own `Authorization` goes upstream; the gateway credential then comes in one of the other headers. */
  forwardAuthorization: boolean
  /** Only `active` is served. An instance that was deleted shows as `removing`. */
  status: 'active' | 'inactive' | 'removing'
  limits: GatewayInstanceLimits
  /** The revision that last changed this record; an older record never replaces a newer one. */
  revision: number
}

export type GatewayInstanceLimits = {
  /** Until a connection to the upstream stands; null or absent = the gateway's default (10 s). */
  connectTimeoutMs?: number | null
  /** How long the upstream may take until its response headers come; null or absent = the gateway's default (60 s). */
  headersTimeoutMs?: number | null
  /** How long a begun answer may be silent until it counts as dead; null or absent = for ever. */
  idleTimeoutMs?: number | null
  /** Of one subject (a binding, a manual token, all anonymous callers), a second's worth at once; null or absent = no limit. */
  requestsPerSecond?: number | null
  /** Of one subject, at one time; a stream is a request that stays open. null or absent = no limit. */
  maxOpenRequests?: number | null
  /** Whether `?token=` is a credential too, for clients that cannot send headers. URLs end up in logs of others: off by default. */
  tokenInQuery?: boolean | null
}

export type GatewayCredential = {
  tokenId: string
  /** As `tokenHash` makes it. */
  hash: string
  instanceId: string
  /** null: a manual token. */
  bindingId: string | null
  /** The binding's switch; always true for a manual token. */
  enabled: boolean
  bindingExpiresAt: Date | null
  tokenExpiresAt: Date | null
  /** A retiring token is still good; a revoked one is as good as unknown (401). */
  state: 'active' | 'retiring' | 'revoked'
  /** Effective already: the binding's own, or inherited from the instance; a manual token's own. */
  passThroughHeaders: Record<string, string>
  /** null: every tool. */
  toolAllowList: string[] | null
  /** The highest of the revisions of token, binding and (when it inherits) instance. */
  revision: number
}
