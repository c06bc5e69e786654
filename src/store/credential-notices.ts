import { parseJson } from './columns.ts'
import { postNotice } from './deliveries.ts'
import { platformRef } from './run-notices.ts'
import { getSetting, setSettingIn } from './settings.ts'
import type { Store } from './store.ts'

const SETTING = 'credential-notices'

/** What has been said of a platform's credential, so that it is said once: of this version of it. */
export type CredentialNotices = Record<string, { version: number; told: string[] }>

export type CredentialNoticeType = 'credential.expiring' | 'credential.expired' | 'credential.refused'

/** By platform id. */
export async function getCredentialNotices(store: Store): Promise<CredentialNotices> {
  const text = await getSetting(store.db, SETTING)
  return text === null ? {} : parseJson<CredentialNotices>(text)
}

/**
 * Keeps what has been told, in the place of all that stood there, and puts it into the outbox: both or neither. `told` is what
 * makes it one of its kind: the platform, the version of its credential, and the step.
 */
export async function tellOfCredential(
  store: Store,
  notices: CredentialNotices,
  told: { platformId: string; version: number; step: string },
  type: CredentialNoticeType,
  expiresAt: Date | null,
): Promise<void> {
  await store.write(async (tx) => {
    await setSettingIn(tx, SETTING, JSON.stringify(notices))
    const platform = await platformRef(tx, told.platformId)
    await postNotice(tx, `${told.platformId}:${told.version}:${told.step}`, {
      type,
      data: { ...platform, expiresAt: expiresAt?.toISOString() ?? null },
    })
  })
}
