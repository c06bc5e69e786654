import { subjectOf } from './auth.ts'
import type { Call } from './call.ts'
import type { RefusalCode } from './refusal.ts'
import type { SubjectSeal } from './session.ts'

/** What a client's URL and session mean at the upstream. */
export type Address =
  | { refusal: RefusalCode }
  | {
      refusal: null
      /** null: the instance's own path. */
      path: string | null
      /** The upstream's own session id. */
      sessionId: string | null
    }

/** Opens what was sealed for the caller. Another subject's session or endpoint is as good as none (404). */
export function addressOf(call: Call, seal: SubjectSeal): Address {
  const { route, instance, credential, req } = call
  if (instance === null) return { refusal: 'instance_unknown' }
  if ((route.kind === 'mcp') !== (instance.transport === 'streamable-http')) return { refusal: 'transport_mismatch' }
  const encoding = req.headers['content-encoding']
  if (encoding !== undefined && encoding !== 'identity') return { refusal: 'encoded_body' }
  const subject = subjectOf(credential)
  if (route.kind === 'sse-post') {
    const path = seal.open('endpoint', instance.id, subject, route.sealed)
    return path === null ? { refusal: 'endpoint_unknown' } : { refusal: null, path, sessionId: null }
  }
  const sealed = req.headers['mcp-session-id']
  if (sealed === undefined || route.kind === 'sse') return { refusal: null, path: null, sessionId: null }
  const sessionId = typeof sealed === 'string' ? seal.open('session', instance.id, subject, sealed) : null
  return sessionId === null ? { refusal: 'session_unknown' } : { refusal: null, path: null, sessionId }
}
