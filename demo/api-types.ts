/** The parts of the API's answers that the demo reads (the whole is in /openapi.json). */

export type Platform = { id: string; name: string }
export type PlatformCheck = { ok: boolean; version: string | null; error: { message: string } | null; hints: string[] }
export type Space = {
  id: string
  remoteId: string
  name: string
  ownerName: string | null
  /** COZE: the signed-in user's. */
  role: string | null
  problem: string | null
}
export type Instance = { id: string; name: string; url: string; rowVersion: number }
export type Probe = {
  ok: boolean
  error: { message: string } | null
  serverName: string | null
  serverVersion: string | null
  toolCount: number | null
}
export type Binding = {
  id: string
  instance: { id: string }
  space: { id: string }
  token: { provenAt: string | null } | null
  deployment: { state: string }
}

export type Sync = {
  id: string
  state: string
  phase: string
  workflowId: string
  temporalUrl: string | null
  counts: Record<string, number>
  warnings: string[]
  error: { type: string; message: string } | null
}

export type Target = {
  id: string
  instanceId: string
  spaceId: string
  action: string | null
  state: string
  changes: { field: string; tools?: { added: string[] } }[] | null
  error: { type: string; message: string } | null
}

export const CLOSED = ['planned', 'succeeded', 'partial', 'failed', 'cancelled']
