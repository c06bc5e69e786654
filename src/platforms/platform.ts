import type { ForeignObject, NormalisedObject, ObservedObject, RemoteIdentity } from '../domain/object.ts'
import type { McpTool, McpTransport } from '../domain/tool.ts'

/**
 * The contract between the product and an agent platform. An adapter reads, applies and verifies; it never compares
 * desired with observed (src/domain/plan.ts does), never sees the store, and throws ToolferryError only.
 */
export type Platform = {
  readonly kind: PlatformKind
  /** Reachable, version, privileges, credential state, hints. Never throws for what it is meant to find out. */
  check(options: CheckOptions): Promise<PlatformCheck>
  /** Every space the credential can see, usable or not (then with `problem`). */
  listSpaces(options: CallOptions): Promise<RemoteSpace[]>
  /** Exactly what would be read back after writing `desired`: clamped names, sanitised tools. Pure. */
  normalise(desired: DesiredObject): NormalisedObject
  /** The identity to record before an object is first created; null when the platform assigns it (COZE). */
  proposeIdentity(instanceId: string): RemoteIdentity | null
  /** What is in the space: our objects (by recorded identity), and foreign ones in the way. One round trip a space, not one a target. */
  read(space: SpaceRef, wanted: WantedObject[], options: CallOptions): Promise<SpaceReading>
  /**
   * An object of the space that nobody recorded as ours and that may be adopted; null when there is none. Throws what keeps the
   * space from being used at all.
   */
  findAdoptable(space: SpaceRef, query: AdoptionQuery, options: CallOptions): Promise<ObservedObject | null>
  /**
   * Opens one space for writing: takes the platform's own lock, if it has one. `fence()` is called right before every
   * write, inside the lock; it throws SpaceBusy when the lease has passed to somebody else.
   */
  openSpace(space: SpaceRef, options: WriteOptions): Promise<SpaceWriter>
  close(): Promise<void>
}

export type PlatformKind = 'dify' | 'coze'

export type CallOptions = { signal: AbortSignal }

export type CheckOptions = CallOptions & {
  /** What the platform will call, for hints on whether it can; only the scheme, host and port matter. */
  gatewayUrl?: string | undefined
}

export type WriteOptions = CallOptions & {
  fence: () => Promise<void>
}

/** One space under its lock. Closing releases the lock; an adapter must release it when the process dies, too. */
export type SpaceWriter = AsyncDisposable & {
  /** Creates or updates, atomically for one object: re-reads, writes, and answers what stands there now. Idempotent. */
  apply(change: PlatformChange): Promise<AppliedObject>
  /**
   * Removes our object; one that is already gone is fine. `checkpoint` tells what an attempt that died was about to make: all that
   * is known when `identity` is null, and else what may stand in the place of the one that we recorded. `force`: also when the platform's users would miss it (COZE agents).
   */
  remove(identity: RemoteIdentity | null, options?: RemoveOptions): Promise<void>
}

export type RemoveOptions = { force?: boolean; checkpoint?: Checkpoint | null }

export type PlatformChange = {
  action: 'create' | 'update'
  bindingId: string
  /** What we recorded as ours before the write, or the identity to create it with (kept for apps that still refer to it). */
  identity: RemoteIdentity | null
  desired: NormalisedObject
  /** Resume data of an earlier attempt of this very change, and how to record the next step before going on. */
  checkpoint: Checkpoint | null
  /** `identity`: what the platform has just assigned; recorded as ours together with the step. */
  saveCheckpoint: (step: string, data: unknown, identity?: RemoteIdentity) => Promise<void>
  /** What the last step was about to do has certainly not happened: there is nothing to resume, or to look for. */
  clearCheckpoint: () => Promise<void>
  /**
   * Called inside the platform's own transaction with what stands there at that moment (null: our object is not there).
   * Answers the fields to write; none = leave the object untouched. For an object that is not there, all fields are written.
   */
  fieldsToWrite: (observed: ObservedObject | null) => string[]
}

/** Where a change of several steps stands. Holds no secret. */
export type Checkpoint = { step: string; data: unknown }

/** `key`: the space's identity on the platform (Dify tenant id). */
export type SpaceRef = { spaceId: string; remoteId: string }

export type DesiredObject = {
  bindingId: string
  instanceId: string
  /** The instance's name, as the admin wrote it. */
  name: string
  description: string
  /** What the platform calls: <gateway>/mcp-gateway/<instanceId>/mcp or /sse. */
  url: string
  transport: McpTransport
  /** The full header value ("Bearer tfg_…"). */
  authorization: string
  tools: McpTool[]
}

export type WantedObject = {
  bindingId: string
  /** What we recorded as ours, if anything. */
  identity: RemoteIdentity | null
  /** null for a removal. */
  desired: NormalisedObject | null
  /** Of a change that did not come to its end: tells of an object that was made without our hearing its identity. */
  checkpoint?: Checkpoint | null
}

export type AdoptionQuery = {
  /** The object's id there; null: the one in the way of `desired`, else one that calls `upstreamUrl`. */
  remoteId: string | null
  /** What ours would be created with. */
  identity: RemoteIdentity | null
  desired: NormalisedObject
  /** The MCP server's own address: what a person would give the platform by hand. */
  upstreamUrl: string
}

export type SpaceReading = {
  /** Why nothing can be written to this space at all (archived, no public key), with what to do; else null. */
  problem: { type: 'TargetGone' | 'InvalidDesiredState' | 'Forbidden' | 'UnsupportedVersion'; message: string } | null
  /** By binding id; absent = our object does not exist there. */
  objects: Map<string, ObservedObject>
  /** By binding id: a foreign object that makes creating or updating impossible. */
  inTheWay: Map<string, ForeignObject>
  /**
   * By binding id: what this platform's version cannot take of the object, though others it could; or why our object may not be
   * looked at, so that nobody knows whether it is there. Absent: nothing.
   */
  refused?: Map<
    string,
    { type: 'InvalidDesiredState' | 'Forbidden' | 'UnsupportedVersion' | 'TargetGone'; message: string }
  >
}

/** `stored` as in ObservedObject, read back in the same transaction as the write. */
export type AppliedObject = {
  identity: RemoteIdentity
  stored: Record<string, string>
  shown: Record<string, string>
  tools: Record<string, string>
  /** False when the object already stood as desired and nothing was written. */
  wrote: boolean
}

export type PlatformCheck = {
  ok: boolean
  /** For people: "Dify 1.15 or newer (schema), PostgreSQL 15.4". */
  version: string | null
  /** A failure's type and message, when not ok. */
  error: { type: string; message: string; field?: string } | null
  hints: string[]
  /** Single findings, in order: what was looked at, whether it is right, what was found. */
  findings: { name: string; ok: boolean; detail: string }[]
  spaces: number | null
  /** Whose credential it is, where the platform tells (COZE). */
  account?: { id: string; name: string } | null
  /** When the credential is expected to end; a hint. */
  credentialExpiresAt?: Date | null
}

export type RemoteSpace = {
  remoteId: string
  name: string
  ownerName: string | null
  ownerEmail: string | null
  role: string | null
  archived: boolean
  problem: string | null
}
