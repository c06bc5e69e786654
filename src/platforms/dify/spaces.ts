import { ToolferryError } from '../../domain/errors.ts'
import type { RemoteSpace } from '../platform.ts'
import type { SpaceRow, TenantRow } from './database.ts'
import type { WorkspaceKey } from './encryption.ts'
import { parseWorkspaceKey } from './encryption.ts'

/** A workspace (tenant) of Dify that can be written to, with its key; or why it cannot. */
export type JudgedTenant = { key: WorkspaceKey; fault: null } | { key: WorkspaceKey | null; fault: ToolferryError }

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

export function isTenantId(text: string): boolean {
  return UUID.test(text)
}

/** TargetGone when it is not there; InvalidDesiredState when it is archived or has no usable key (dify.md §1.4). */
export function judgeTenant(tenant: TenantRow | null): JudgedTenant {
  if (tenant === null) {
    return {
      key: null,
      fault: new ToolferryError('TargetGone', 'The workspace no longer exists in Dify. Refresh the platform’s spaces.'),
    }
  }
  const refuse = (message: string): ToolferryError => new ToolferryError('InvalidDesiredState', message)
  const { name, publicKeyPem, status } = tenant
  let key: WorkspaceKey | null = null
  let keyFault: ToolferryError | null = null
  if (publicKeyPem === null || publicKeyPem.trim() === '') {
    keyFault = refuse(
      `The workspace «${name}» has no encryption key in Dify (tenants.encrypt_public_key is empty), so nothing can be encrypted for ` +
        'it. Run “flask reset-encrypt-key-pair” in Dify or restore the key, then sync again.',
    )
  } else {
    try {
      key = parseWorkspaceKey(publicKeyPem)
    } catch (error) {
      if (!(error instanceof ToolferryError)) throw error
      keyFault = refuse(`Workspace «${name}»: ${error.message} Restore the key in Dify, then sync again.`)
    }
  }
  if (status === 'archive') {
    return { key, fault: refuse(`The workspace «${name}» is archived in Dify. Restore it there, or leave it out.`) }
  }
  if (status !== 'normal') {
    return {
      key,
      fault: refuse(`The workspace «${name}» has the status “${status}” in Dify; only “normal” ones are written.`),
    }
  }
  if (key === null) return { key, fault: keyFault ?? refuse(`The workspace «${name}» has no encryption key.`) }
  return { key, fault: null }
}

export function toRemoteSpace(row: SpaceRow): RemoteSpace {
  const { person } = row
  // A workspace whose owner is banned or gone still works; a person should know all the same.
  const away = person === null || person.status === 'active' ? '' : ` (${person.status})`
  return {
    remoteId: row.id,
    name: row.name,
    ownerName: person?.name ?? null,
    ownerEmail: person?.email ?? null,
    role: person === null ? null : `${person.role}${away}`,
    archived: row.status === 'archive',
    problem: isTenantId(row.id)
      ? (judgeTenant(row).fault?.message ?? null)
      : `The workspace «${row.name}» has an id that is not one of Dify’s (a UUID), so nothing is written there.`,
  }
}

/** In a few words, for lists: why a workspace cannot be written to; null when it can. */
export function shortReason(row: TenantRow): string | null {
  if (!isTenantId(row.id)) return 'odd id'
  if (judgeTenant(row).fault === null) return null
  if (row.status === 'archive') return 'archived'
  if (row.status !== 'normal') return `status “${row.status}”`
  return row.publicKeyPem === null || row.publicKeyPem.trim() === '' ? 'no key' : 'unusable key'
}
