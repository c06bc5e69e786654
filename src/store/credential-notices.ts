import { parseJson } from './columns.ts'
import { getSetting, setSetting } from './settings.ts'
import type { Store } from './store.ts'

const SETTING = 'credential-notices'

/** What has been said of a platform's credential, so that it is said once: of this version of it. */
export type CredentialNotices = Record<string, { version: number; told: string[] }>

/** By platform id. */
export async function getCredentialNotices(store: Store): Promise<CredentialNotices> {
  const text = await getSetting(store.db, SETTING)
  return text === null ? {} : parseJson<CredentialNotices>(text)
}

/** Takes the place of all that stood there. */
export async function setCredentialNotices(store: Store, notices: CredentialNotices): Promise<void> {
  await setSetting(store, SETTING, JSON.stringify(notices))
}
