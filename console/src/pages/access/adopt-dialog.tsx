import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { Alert, Button, Input } from 'antd'
import { useId, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useNavigate } from 'react-router'
import { api, call, type Schemas } from '../../api/client.ts'
import { toProblem } from '../../api/problem.ts'
import { useSendOnce } from '../../api/sent-once.ts'
import { Facts } from '../../components/facts.tsx'
import { FieldChanges } from '../../components/field-changes.tsx'
import { Loading } from '../../components/loading.tsx'
import { Modal } from '../../components/overlays.tsx'
import { PlatformObject } from '../../components/platform-object.tsx'
import { ProblemAlert } from '../../components/problem-alert.tsx'
import './access.css'

type Adoption = Schemas['Adoption']

/**
 * Takes over an object that stands on the platform and that no record says is ours: shown first with what a sync would make of
 * it, then recorded as ours, then brought to what it should be by a sync.
 */
export function AdoptDialog({ bindingId, name, onClose }: { bindingId: string; name: string; onClose: () => void }) {
  const { t } = useTranslation('tokens')
  const navigate = useNavigate()
  const queries = useQueryClient()
  const sendOnce = useSendOnce()
  const [typed, setTyped] = useState('')
  // Null: what stands in the way, as the server finds it.
  const [remoteId, setRemoteId] = useState<string | null>(null)
  const ask = (dryRun: boolean, id: string | null) =>
    call(
      api.POST('/api/v1/bindings/{id}/adopt', {
        params: { path: { id: bindingId } },
        body: { dryRun, ...(id === null ? {} : { remoteId: id }) },
      }),
    )
  const adopting = useMutation({
    // Just what was shown, whatever stands there by now.
    mutationFn: (object: Adoption['object']) => ask(false, object.remoteId),
    onSettled: () =>
      queries.invalidateQueries({ queryKey: ['bindings'], predicate: ({ queryKey }) => queryKey[2] !== 'adopt' }),
  })
  const preview = useQuery({
    queryKey: ['bindings', bindingId, 'adopt', remoteId],
    queryFn: () => ask(true, remoteId),
    staleTime: 0,
    gcTime: 0,
    retry: false,
    refetchOnWindowFocus: false,
    enabled: adopting.data === undefined,
  })
  const syncing = useMutation({
    mutationFn: ({ platform, instance, space }: Adoption['binding']) => {
      const body = {
        platformId: platform.id,
        name: t('adopt.syncName', { name }),
        instanceIds: [instance.id],
        spaceIds: [space.id],
        acceptWarnings: true,
      }
      return sendOnce(body, (header) => call(api.POST('/api/v1/syncs', { params: { header }, body })))
    },
    onSuccess: ({ id }) => navigate(`/syncs/${id}`),
  })
  const found = preview.data
  const adopted = adopting.data
  const nothing = preview.error !== null && toProblem(preview.error).code === 'nothing_to_adopt'
  return (
    <Modal
      open
      width={600}
      title={t('adopt.title', { name })}
      onCancel={onClose}
      footer={
        <>
          <Button onClick={onClose}>{t(adopted === undefined ? 'common:cancel' : 'common:close')}</Button>
          {adopted === undefined ? (
            <Button
              type="primary"
              loading={adopting.isPending}
              disabled={found === undefined || preview.isFetching}
              onClick={() => found !== undefined && adopting.mutate(found.object)}
            >
              {t('adopt.do')}
            </Button>
          ) : (
            <Button type="primary" loading={syncing.isPending} onClick={() => syncing.mutate(adopted.binding)}>
              {t('adopt.sync')}
            </Button>
          )}
        </>
      }
    >
      <div className="stack">
        {adopted === undefined ? <p>{t('adopt.lead')}</p> : null}
        {preview.isFetching ? <Loading /> : null}
        {nothing ? (
          <Alert type="info" showIcon title={t('adopt.nothing')} description={t('adopt.nothingText')} />
        ) : null}
        {preview.error === null || nothing || preview.isFetching ? null : (
          <ProblemAlert error={preview.error} onRetry={() => void preview.refetch()} />
        )}
        {found === undefined || preview.isFetching ? null : <Found adoption={found} />}
        {adopted === undefined ? (
          <OtherObject
            typed={typed}
            busy={preview.isFetching}
            onType={setTyped}
            onLook={() => setRemoteId(typed.trim() === '' ? null : typed.trim())}
          />
        ) : (
          <Alert type="success" showIcon role="status" title={t('adopt.done')} description={t('adopt.doneText')} />
        )}
        {adopting.error === null ? null : <ProblemAlert error={adopting.error} />}
        {syncing.error === null ? null : <ProblemAlert error={syncing.error} />}
      </div>
    </Modal>
  )
}

function Found({ adoption: { binding, object, changes, kept } }: { adoption: Adoption }) {
  const { t } = useTranslation('tokens')
  return (
    <section className="stack" aria-label={t('adopt.found')}>
      <Facts
        items={[
          { label: t('adopt.object'), value: object.name ?? '–' },
          {
            label: t('adopt.remoteId'),
            value: (
              <PlatformObject
                platformId={binding.platform.id}
                spaceRemoteId={binding.space.remoteId}
                remoteId={object.remoteId}
              />
            ),
          },
          ...(object.key === null ? [] : [{ label: t('adopt.key'), value: <code>{object.key}</code> }]),
        ]}
      />
      <div>
        <strong>{t('adopt.changes')}</strong>
        {changes.length === 0 ? <p className="muted">{t('adopt.noChanges')}</p> : <FieldChanges changes={changes} />}
      </div>
      {kept.length === 0 ? null : (
        <p className="muted">
          {t('adopt.kept', {
            fields: kept.map((field) => t(`common:fields.${field}`, { defaultValue: field })).join(', '),
          })}
        </p>
      )}
    </section>
  )
}

function OtherObject(props: { typed: string; busy: boolean; onType: (text: string) => void; onLook: () => void }) {
  const { t } = useTranslation('tokens')
  const { typed, busy, onType, onLook } = props
  const inputId = useId()
  return (
    <div className="stack" style={{ gap: 4 }}>
      <label htmlFor={inputId}>{t('adopt.other')}</label>
      <div className="row">
        <Input
          id={inputId}
          value={typed}
          maxLength={191}
          style={{ flex: '1 1 220px' }}
          onChange={({ target }) => onType(target.value)}
          onPressEnter={onLook}
        />
        <Button loading={busy} onClick={onLook}>
          {t('adopt.look')}
        </Button>
      </div>
    </div>
  )
}
