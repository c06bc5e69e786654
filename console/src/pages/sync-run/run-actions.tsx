import { useMutation, useQueryClient } from '@tanstack/react-query'
import { Button, Popconfirm } from 'antd'
import { useTranslation } from 'react-i18next'
import { useNavigate } from 'react-router'
import { api, call } from '../../api/client.ts'
import { useSendOnce } from '../../api/sent-once.ts'
import { useRole } from '../../api/session.ts'
import { useProblemToast } from '../../components/problem-text.ts'
import { isOpen, type Run } from './use-run.ts'

const FAILED = ['failed', 'conflict', 'cancelled', 'pending', 'running'] as const

/** What can be done with a run as it stands. Retry and apply make a new run and go there. */
export function RunActions({ run }: { run: Run }) {
  const { t } = useTranslation('sync-run')
  const mayAct = useRole('operator')
  const navigate = useNavigate()
  const queries = useQueryClient()
  const tell = useProblemToast()
  const sendOnce = useSendOnce()
  const params = { params: { path: { id: run.id } } }
  const refresh = () => void queries.invalidateQueries({ queryKey: ['syncs'] })

  const pause = useMutation({
    mutationFn: () => call(api.POST('/api/v1/syncs/{id}/pause', params)),
    onSuccess: refresh,
    onError: tell,
  })
  const resume = useMutation({
    mutationFn: () => call(api.POST('/api/v1/syncs/{id}/resume', params)),
    onSuccess: refresh,
    onError: tell,
  })
  const cancel = useMutation({
    mutationFn: () => call(api.POST('/api/v1/syncs/{id}/cancel', params)),
    onSuccess: refresh,
    onError: tell,
  })
  const retry = useMutation({
    mutationFn: () =>
      sendOnce({ retry: run.id }, (header) =>
        call(api.POST('/api/v1/syncs/{id}/retry', { params: { path: { id: run.id }, header } })),
      ),
    onSuccess: ({ id }) => navigate(`/syncs/${id}`),
    onError: tell,
  })
  const apply = useMutation({
    mutationFn: () =>
      sendOnce({ apply: run.id }, (header) =>
        call(api.POST('/api/v1/syncs/{id}/apply', { params: { path: { id: run.id }, header }, body: {} })),
      ),
    onSuccess: ({ id }) => navigate(`/syncs/${id}`),
    onError: tell,
  })

  if (!mayAct) return null
  const isPaused = run.state === 'paused' || run.pauseRequested
  const leftOver = FAILED.reduce((sum, state) => sum + (run.counts[state] ?? 0), 0)
  if (isOpen(run)) {
    return (
      <>
        <Popconfirm
          title={t('cancelQuestion')}
          description={t('cancelMeaning')}
          okText={t('cancel')}
          cancelText={t('common:no')}
          onConfirm={() => cancel.mutate()}
        >
          <Button danger loading={cancel.isPending} disabled={run.cancelRequested}>
            {t('cancel')}
          </Button>
        </Popconfirm>
        {isPaused ? (
          <Button type="primary" loading={resume.isPending} onClick={() => resume.mutate()}>
            {t('resume')}
          </Button>
        ) : (
          <Button loading={pause.isPending} onClick={() => pause.mutate()}>
            {t('pause')}
          </Button>
        )}
      </>
    )
  }
  if (run.state === 'planned') {
    return (
      <Button type="primary" loading={apply.isPending} onClick={() => apply.mutate()}>
        {t('apply')}
      </Button>
    )
  }
  // Cancelled before it had targets: all of it is left.
  const isUndone = run.state === 'failed' || (run.state === 'cancelled' && run.counts.total === 0)
  if (leftOver === 0 && !isUndone) return null
  return (
    <Button type="primary" loading={retry.isPending} onClick={() => retry.mutate()}>
      {t('retry', { count: leftOver })}
    </Button>
  )
}
