import { useTranslation } from 'react-i18next'
import { StateTag } from '../../components/state-tag.tsx'
import { Time } from '../../components/time.tsx'
import type { Platform } from './queries.ts'

/** A session that the platform has ended has no end to come, whatever its cookie says. */
const OVER = new Set(['expired', 'refused'])

/** How the platform's password or cookie is, and when it ends. */
export function CredentialState({ platform }: { platform: Platform }) {
  const { t } = useTranslation('platforms')
  const { credentialExpiresAt, credentialWarning, hasCredential, credentialState } = platform
  return (
    <span className="row">
      <StateTag state={hasCredential ? credentialState : 'none'} />
      {hasCredential && credentialExpiresAt !== null && !OVER.has(credentialState) ? (
        <span className={credentialWarning === null ? 'muted' : 'credential-warning'}>
          {t('credential.ends')} <Time at={credentialExpiresAt} />
        </span>
      ) : null}
    </span>
  )
}
