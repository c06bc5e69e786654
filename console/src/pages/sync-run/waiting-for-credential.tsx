import { useQuery } from '@tanstack/react-query'
import { Alert, Button } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useRole } from '../../api/session.ts'
import { ProblemAlert } from '../../components/problem-alert.tsx'
import { useRecordedError } from '../../components/recorded-error.ts'
import { CredentialForm } from '../platforms/credential-form.tsx'
import { platformQuery } from '../platforms/queries.ts'
import type { Run } from './use-run.ts'

/** The run stands still with everything done kept; a new cookie or password, given right here, lets it go on. */
export function WaitingForCredential({ run }: { run: Run }) {
  const { t } = useTranslation('sync-run')
  const recorded = useRecordedError()
  const mayReplace = useRole('admin')
  const platform = useQuery(platformQuery(run.platformId))
  const [isReplacing, setReplacing] = useState(false)
  return (
    <>
      <Alert
        type="warning"
        showIcon
        role="alert"
        title={t('waiting.title')}
        description={run.error === null ? t('waiting.text') : recorded(run.error).message}
        action={
          mayReplace ? (
            <Button type="primary" onClick={() => setReplacing(true)}>
              {t('waiting.replace')}
            </Button>
          ) : null
        }
      />
      {isReplacing && platform.error !== null ? (
        <ProblemAlert error={platform.error} onRetry={() => void platform.refetch()} />
      ) : null}
      {isReplacing && platform.data !== undefined ? (
        <CredentialForm platform={platform.data} onClose={() => setReplacing(false)} />
      ) : null}
    </>
  )
}
