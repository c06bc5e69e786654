import { Alert } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useParams, useSearchParams } from 'react-router'
import { Facts } from '../../components/facts.tsx'
import { Loading } from '../../components/loading.tsx'
import { Page as Frame } from '../../components/page.tsx'
import { ProblemAlert } from '../../components/problem-alert.tsx'
import { useRecordedError } from '../../components/recorded-error.ts'
import { useServerText } from '../../components/server-text.ts'
import { StateTag } from '../../components/state-tag.tsx'
import { Time } from '../../components/time.tsx'
import { CellDrawer } from './cell-drawer.tsx'
import { Duration } from './duration.tsx'
import { Matrix } from './matrix.tsx'
import { Progress } from './progress.tsx'
import { RunActions } from './run-actions.tsx'
import { isOpen, type Run, type Target, useLiveRun, useRun, useTargets } from './use-run.ts'
import { WaitingForCredential } from './waiting-for-credential.tsx'

/** One run as it happens: every instance in every space. */
export function Page() {
  const { t } = useTranslation('sync-run')
  const { syncId = '' } = useParams()
  const [address, setAddress] = useSearchParams()
  const run = useRun(syncId)
  const targets = useTargets(syncId, run.data)
  useLiveRun(syncId, run.data)
  const [only, setOnly] = useState<Target['state'] | null>(null)
  const cell = targets.data?.find(({ id }) => id === address.get('target'))
  return (
    <Frame
      title={run.data === undefined || run.data.name === '' ? t('title') : run.data.name}
      back={{ to: '/syncs', label: t('common:nav.syncs') }}
      mark={run.data === undefined ? null : <StateTag state={run.data.state} />}
      actions={run.data === undefined ? null : <RunActions run={run.data} />}
    >
      {run.error === null ? null : <ProblemAlert error={run.error} onRetry={() => void run.refetch()} />}
      {run.isLoading ? <Loading /> : null}
      {run.data === undefined ? null : <RunNotes run={run.data} />}
      {run.data === undefined ? null : <RunFacts run={run.data} />}
      {targets.error === null ? null : <ProblemAlert error={targets.error} onRetry={() => void targets.refetch()} />}
      {targets.isLoading ? <Loading /> : null}
      {targets.data === undefined ? null : (
        <>
          <Progress targets={targets.data} only={only} onOnly={setOnly} />
          <Matrix targets={targets.data} only={only} onOpen={({ id }) => setAddress({ target: id })} />
        </>
      )}
      {cell === undefined || run.data === undefined ? null : (
        <CellDrawer target={cell} run={run.data} onClose={() => setAddress({})} />
      )}
    </Frame>
  )
}

function RunNotes({ run }: { run: Run }) {
  const { t } = useTranslation('sync-run')
  const say = useServerText()
  const recorded = useRecordedError()
  return (
    <>
      {run.state === 'waiting_for_credential' ? <WaitingForCredential run={run} /> : null}
      {run.pauseRequested && run.state === 'running' ? <Alert type="info" showIcon title={t('pausing')} /> : null}
      {run.cancelRequested && isOpen(run) ? <Alert type="info" showIcon title={t('cancelling')} /> : null}
      {run.state === 'planned' ? <Alert type="info" showIcon title={t('onlyPlanned')} /> : null}
      {run.state === 'succeeded' ? <Alert type="success" showIcon title={t('succeeded')} /> : null}
      {run.error === null || run.state === 'waiting_for_credential' ? null : (
        <Alert
          type="error"
          showIcon
          role="alert"
          title={recorded(run.error).message}
          description={recorded(run.error).hint ?? undefined}
        />
      )}
      {run.warnings.map((warning) => (
        <Alert key={warning} type="warning" showIcon title={say(warning)} />
      ))}
    </>
  )
}

function RunFacts({ run }: { run: Run }) {
  const { t } = useTranslation('sync-run')
  return (
    <div className="panel panel-body">
      <Facts
        items={[
          { label: t('facts.by'), value: run.requestedBy },
          { label: t('facts.started'), value: <Time at={run.startedAt ?? run.createdAt} /> },
          {
            label: t('facts.took'),
            value: <Duration from={run.startedAt} to={run.finishedAt} running={isOpen(run)} />,
          },
          { label: t('facts.phase'), value: t(`phases.${run.phase}`) },
          ...(run.live === null
            ? []
            : [
                {
                  label: t('facts.spaces'),
                  value: t('facts.spacesDone', { done: run.live.spacesDone, total: run.live.spacesTotal }),
                },
              ]),
          {
            label: t('facts.history'),
            value:
              run.temporalUrl === null ? (
                <code>{run.workflowId}</code>
              ) : (
                <a href={run.temporalUrl} target="_blank" rel="noreferrer">
                  {t('facts.openHistory')}
                </a>
              ),
          },
        ]}
      />
    </div>
  )
}
