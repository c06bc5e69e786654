import { useMutation, useQueryClient } from '@tanstack/react-query'
import { App, Button, Input, Popconfirm } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useNavigate } from 'react-router'
import { api, call, type Schemas } from '../../api/client.ts'
import { useProblemToast } from '../../components/problem-text.ts'

/** Run now, pause with a reason, resume, delete. */
export function ProfileActions({ profile }: { profile: Schemas['Profile'] }) {
  const { t } = useTranslation('profiles')
  const { message } = App.useApp()
  const navigate = useNavigate()
  const queries = useQueryClient()
  const tell = useProblemToast()
  const [reason, setReason] = useState('')
  const params = { params: { path: { id: profile.id } } }
  const settled = { onSettled: () => queries.invalidateQueries({ queryKey: ['profiles'] }), onError: tell }
  const trigger = useMutation({
    mutationFn: () => call(api.POST('/api/v1/profiles/{id}/trigger', { ...params, body: {} })),
    onSuccess: ({ id }) => {
      message.success(t('triggered'))
      navigate(`/syncs/${id}`)
    },
    ...settled,
  })
  const pause = useMutation({
    mutationFn: () => call(api.POST('/api/v1/profiles/{id}/pause', { ...params, body: { reason } })),
    ...settled,
  })
  const resume = useMutation({
    mutationFn: () => call(api.POST('/api/v1/profiles/{id}/resume', params)),
    ...settled,
  })
  const remove = useMutation({
    mutationFn: () => call(api.DELETE('/api/v1/profiles/{id}', params)),
    ...settled,
  })
  return (
    <div className="row" style={{ flexWrap: 'nowrap' }}>
      <Button
        size="small"
        loading={trigger.isPending}
        aria-label={t('runOf', { name: profile.name })}
        onClick={() => trigger.mutate()}
      >
        {t('run')}
      </Button>
      {profile.paused ? (
        <Button
          size="small"
          loading={resume.isPending}
          aria-label={t('resumeOf', { name: profile.name })}
          onClick={() => resume.mutate()}
        >
          {t('resume')}
        </Button>
      ) : (
        <Popconfirm
          title={t('pauseQuestion', { name: profile.name })}
          description={
            <Input
              value={reason}
              aria-label={t('reason')}
              placeholder={t('reason')}
              maxLength={200}
              onChange={({ target }) => setReason(target.value)}
            />
          }
          okText={t('pause')}
          cancelText={t('common:cancel')}
          okButtonProps={{ disabled: reason.trim() === '' }}
          onConfirm={() => pause.mutate()}
        >
          <Button size="small" aria-label={t('pauseOf', { name: profile.name })} disabled={profile.schedule === null}>
            {t('pause')}
          </Button>
        </Popconfirm>
      )}
      <Popconfirm
        title={t('deleteQuestion', { name: profile.name })}
        description={t('deleteMeaning')}
        okText={t('common:delete')}
        cancelText={t('common:cancel')}
        onConfirm={() => remove.mutate()}
      >
        <Button size="small" danger aria-label={t('deleteOf', { name: profile.name })}>
          {t('common:delete')}
        </Button>
      </Popconfirm>
    </div>
  )
}
