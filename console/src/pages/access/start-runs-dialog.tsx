import { useMutation, useQueryClient } from '@tanstack/react-query'
import { Alert } from 'antd'
import { type ReactNode, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link, useNavigate } from 'react-router'
import type { Schemas } from '../../api/client.ts'
import { useSendOnce } from '../../api/sent-once.ts'
import { Modal } from '../../components/overlays.tsx'
import { ProblemAlert } from '../../components/problem-alert.tsx'
import type { Binding } from './queries.ts'
import { type StartedRun, startRuns } from './runs-of.ts'
import './access.css'

type Props = {
  /** By how many authorizations are meant. */
  title: (count: number) => string
  okText: string
  danger?: boolean
  bindings: Binding[]
  how: Pick<Schemas['SyncInput'], 'name' | 'action' | 'acceptWarnings'>
  /** What it means; `left` are those for which no run was started yet. */
  children: (left: Binding[]) => ReactNode
  onClose: () => void
}

/**
 * Asks, then starts the runs and shows them. When one of several is refused it says which are running already; once more means
 * only what is left.
 */
export function StartRunsDialog({ title, okText, danger = false, bindings, how, children, onClose }: Props) {
  const { t } = useTranslation('tokens')
  const navigate = useNavigate()
  const queries = useQueryClient()
  const sendOnce = useSendOnce()
  const [left, setLeft] = useState(bindings)
  const [running, setRunning] = useState<StartedRun[]>([])
  const starting = useMutation({
    mutationFn: () => startRuns(left, how, sendOnce),
    onSuccess: ({ started, error, left: rest }) => {
      const all = [...running, ...started]
      setRunning(all)
      // All of them: the dialog stays as it is until the next page is there.
      if (error !== null) setLeft(rest)
      else void navigate(all.length === 1 ? `/syncs/${all[0]?.id}` : '/syncs')
    },
    onSettled: () => queries.invalidateQueries({ queryKey: ['syncs'] }),
  })
  const error = starting.error ?? starting.data?.error ?? null
  // All have been started, and the next page is on its way.
  const done = starting.data?.error === null
  return (
    <Modal
      open
      title={title(left.length)}
      okText={okText}
      okButtonProps={{ danger }}
      cancelText={t(running.length === 0 ? 'common:cancel' : 'common:close')}
      confirmLoading={starting.isPending || done}
      onOk={() => starting.mutate()}
      onCancel={onClose}
    >
      <div className="stack">
        {children(left)}
        {error === null ? null : <ProblemAlert error={error} />}
        {error === null || running.length === 0 ? null : <Running runs={running} left={left.length} />}
      </div>
    </Modal>
  )
}

function Running({ runs, left }: { runs: StartedRun[]; left: number }) {
  const { t } = useTranslation('tokens')
  return (
    <Alert
      type="warning"
      showIcon
      role="status"
      title={t('runs.started', { count: runs.length })}
      description={
        <>
          <ul className="tokens-list">
            {runs.map(({ id, name }) => (
              <li key={id}>
                <Link to={`/syncs/${id}`}>{name}</Link>
              </li>
            ))}
          </ul>
          <p>{t('runs.left', { count: left })}</p>
        </>
      }
    />
  )
}
