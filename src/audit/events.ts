import { newId } from '../domain/ids.ts'
import { type AuditRecord, insertAudit } from '../store/audit.ts'
import type { Store } from '../store/store.ts'

/**
 * What the audit may hold. There is no place for a value: `fields` are names from code, checked to look like names, and
 * an actor or a resource is an id with a name. Written even when the call was refused.
 */

export type AuditActor = { name: string; id: string | null }

export const TEMPORAL_ACTOR: AuditActor = { name: 'temporal', id: null }
export const SYSTEM_ACTOR: AuditActor = { name: 'system', id: null }

export type AuditResource =
  | 'platform'
  | 'space'
  | 'instance'
  | 'binding'
  | 'token'
  | 'sync'
  | 'profile'
  | 'api-key'
  | 'session'
  | 'webhook'
  | 'settings'
  | 'audit'

export type AuditAction =
  | 'create'
  | 'update'
  | 'delete'
  | 'import'
  | 'check'
  | 'probe'
  | 'call-tool'
  | 'set-credential'
  | 'clear-credential'
  | 'enable'
  | 'disable'
  | 'adopt'
  | 'rotate'
  | 'reveal'
  | 'revoke'
  | 'use'
  | 'start'
  | 'apply'
  | 'retry'
  | 'pause'
  | 'resume'
  | 'cancel'
  | 'trigger'
  | 'finish'
  | 'warn'
  | 'export'

export type AuditEvent = {
  actor: AuditActor
  action: AuditAction
  resource: AuditResource
  /** null: a collection, or something that was never made. */
  resourceId: string | null
  /** Names of the fields that were set, such as "passThroughHeaders"; never their values. */
  fields?: readonly string[]
  outcome: 'allowed' | 'refused'
  requestId?: string | null
}

const FIELD_NAME = /^[a-zA-Z][a-zA-Z0-9.[\]_-]{0,63}$/

/** Writes the event. Never throws into the caller, whose work is done: a failure is logged. */
export async function audit(store: Store, event: AuditEvent): Promise<void> {
  try {
    await insertAudit(store, toRecord(event))
  } catch (error) {
    store.logger.error(
      {
        err: error,
        action: event.action,
        resource: event.resource,
        resourceId: event.resourceId,
        actor: event.actor.name,
      },
      'an audit event could not be written',
    )
  }
}

function toRecord(event: AuditEvent): AuditRecord {
  return {
    id: newId(),
    at: new Date(),
    actor: event.actor.name,
    actorId: event.actor.id,
    action: event.action,
    resource: event.resource,
    resourceId: event.resourceId,
    // What does not look like a field's name might be a value.
    fields: (event.fields ?? []).map((field) => (FIELD_NAME.test(field) ? field : '?')),
    outcome: event.outcome,
    requestId: event.requestId ?? null,
  }
}
