import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { Alert, Button, Input, Radio } from 'antd'
import { useId, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link } from 'react-router'
import { api, call, type Schemas } from '../../api/client.ts'
import { at, loadAll } from '../../api/lists.ts'
import { Loading } from '../../components/loading.tsx'
import { Modal } from '../../components/overlays.tsx'
import { ProblemAlert } from '../../components/problem-alert.tsx'
import { Select } from '../../components/select.tsx'
import { StateTag } from '../../components/state-tag.tsx'
import type { Binding } from './queries.ts'
import { nameOf, rotationOf } from './tokens.ts'

/** Which tokens: of these authorizations, or of all in these places (none given: everywhere). */
export type RotateScope =
  | { bindings: Binding[] }
  | { platformId?: string | undefined; instanceId?: string | undefined; spaceId?: string | undefined; name: string }

type Started = { syncIds: string[]; count: number; ended: number; effective: boolean }

const GRACES = ['default', '3600', '86400', '604800'] as const
type Grace = (typeof GRACES)[number]

/** Replaces tokens: first what that means, then how, then the runs that do it. */
export function RotateDialog({ scope, onClose }: { scope: RotateScope; onClose: () => void }) {
  const { t } = useTranslation('tokens')
  const queries = useQueryClient()
  const given = 'bindings' in scope ? scope.bindings : null
  const one = given?.length === 1 ? given[0] : undefined
  const [own, setOwn] = useState<string | null>(null)
  const [grace, setGrace] = useState<Grace>('default')
  const [force, setForce] = useState(false)

  const found = useQuery({
    queryKey: ['bindings', 'rotate', 'bindings' in scope ? null : scope],
    queryFn: () => ('bindings' in scope ? [] : loadScope(scope)),
    enabled: given === null,
    staleTime: 0,
  })
  const bindings = given ?? found.data
  const meant = bindings === undefined ? undefined : rotationOf(bindings)
  const rotating = useMutation({
    mutationFn: async (): Promise<Started> => {
      const how = { force, ...(force || grace === 'default' ? {} : { graceSeconds: Number(grace) }) }
      if (one !== undefined) {
        const body = { ...how, ...(own === null ? {} : { token: own }) }
        const run = await call(api.POST('/api/v1/bindings/{id}/rotate', { params: { path: { id: one.id } }, body }))
        return { syncIds: [run.id], count: 1, ended: run.ended, effective: run.effective }
      }
      const body = { ...how, ...bodyOf(scope) }
      const { syncs, bindings: count, ended, effective } = await call(api.POST('/api/v1/bindings/rotate', { body }))
      return { syncIds: syncs.map(({ id }) => id), count, ended, effective }
    },
    gcTime: 0,
    onSettled: async () => {
      await queries.invalidateQueries({ queryKey: ['bindings'] })
      await queries.invalidateQueries({ queryKey: ['syncs'] })
    },
  })

  const { data: started, error } = rotating
  return (
    <Modal
      open
      width={600}
      title={one === undefined ? t('rotate.titleMany') : t('rotate.titleOne', { name: nameOf(one) })}
      onCancel={onClose}
      footer={
        started === undefined ? (
          <>
            <Button onClick={onClose}>{t('common:cancel')}</Button>
            <Button
              type="primary"
              danger={force}
              loading={rotating.isPending}
              disabled={meant === undefined || meant.meant.length === 0 || own === ''}
              onClick={() => rotating.mutate()}
            >
              {t('rotate.start')}
            </Button>
          </>
        ) : (
          <Button onClick={onClose}>{t('common:close')}</Button>
        )
      }
    >
      <div className="stack">
        {'bindings' in scope ? null : <p>{t('rotate.scope', { name: scope.name })}</p>}
        {found.error === null ? null : <ProblemAlert error={found.error} onRetry={() => void found.refetch()} />}
        {meant === undefined && found.error === null ? <Loading /> : null}
        {started !== undefined ? <Result started={started} /> : null}
        {meant === undefined || started !== undefined ? null : (
          <>
            <Preview meant={meant} isOne={one !== undefined} />
            {one === undefined || meant.meant.length === 0 ? null : <OwnToken value={own} onChange={setOwn} />}
            {meant.meant.length === 0 ? null : (
              <FormerEnd grace={grace} force={force} onGrace={setGrace} onForce={setForce} />
            )}
          </>
        )}
        {error === null ? null : <ProblemAlert error={error} />}
      </div>
    </Modal>
  )
}

/** What will be replaced where, what is left, and how it goes. */
function Preview({ meant: { meant, left }, isOne }: { meant: ReturnType<typeof rotationOf>; isOne: boolean }) {
  const { t } = useTranslation('tokens')
  const own = meant.filter(({ token }) => token?.origin === 'custom').length
  const platforms = [...Map.groupBy(meant, ({ platform }) => platform.name)]
  return (
    <>
      {meant.length === 0 ? (
        <Alert type="info" showIcon title={t('rotate.nothing')} description={t('rotate.left')} />
      ) : null}
      {meant.length === 0 || isOne ? null : (
        <div>
          <p>{t('rotate.counts', { count: meant.length, runs: platforms.length })}</p>
          <ul className="tokens-list">
            {platforms.map(([name, list]) => (
              <li key={name}>
                {name} · <span className="num">{list.length}</span>
              </li>
            ))}
          </ul>
          {left.length === 0 ? null : (
            <p className="muted">
              {t('rotate.leftCount', { count: left.length })} {t('rotate.left')}
            </p>
          )}
        </div>
      )}
      {own === 0 ? null : (
        <Alert type="warning" showIcon title={t(isOne ? 'rotate.ownOne' : 'rotate.own', { count: own })} />
      )}
      {meant.length === 0 ? null : (
        <ol className="tokens-list muted">
          {(['made', 'proven', 'written', 'former'] as const).map((step) => (
            <li key={step}>{t(`rotate.steps.${step}`)}</li>
          ))}
        </ol>
      )}
    </>
  )
}

function OwnToken({ value, onChange }: { value: string | null; onChange: (value: string | null) => void }) {
  const { t } = useTranslation('tokens')
  return (
    <div className="stack" style={{ gap: 8 }}>
      <strong>{t('rotate.token')}</strong>
      <Radio.Group
        value={value === null ? 'made' : 'own'}
        aria-label={t('rotate.token')}
        onChange={({ target }) => onChange(target.value === 'made' ? null : '')}
        options={(['made', 'own'] as const).map((choice) => ({ value: choice, label: t(`rotate.${choice}Token`) }))}
      />
      {value === null ? null : (
        <>
          <Input.Password
            value={value}
            aria-label={t('rotate.ownField')}
            autoComplete="new-password"
            onChange={({ target }) => onChange(target.value)}
          />
          <span className="muted">{t('rotate.ownHelp')}</span>
        </>
      )}
    </div>
  )
}

function FormerEnd(props: {
  grace: Grace
  force: boolean
  onGrace: (grace: Grace) => void
  onForce: (force: boolean) => void
}) {
  const { t } = useTranslation('tokens')
  const { grace, force, onGrace, onForce } = props
  const graceId = useId()
  return (
    <div className="stack" style={{ gap: 8 }}>
      <strong>{t('rotate.end')}</strong>
      <Radio.Group
        vertical
        value={force ? 'force' : 'quiet'}
        aria-label={t('rotate.end')}
        onChange={({ target }) => onForce(target.value === 'force')}
        options={[
          { value: 'quiet', label: t('rotate.quiet') },
          { value: 'force', label: t('rotate.force') },
        ]}
      />
      {force ? (
        <Alert type="warning" showIcon title={t('rotate.forceMeaning')} />
      ) : (
        <div className="row">
          <label htmlFor={graceId}>{t('rotate.grace')}</label>
          <Select<Grace>
            id={graceId}
            value={grace}
            style={{ width: 290 }}
            options={GRACES.map((value) => ({ value, label: t(`rotate.graces.${value}`) }))}
            onChange={onGrace}
          />
        </div>
      )}
    </div>
  )
}

function Result({ started }: { started: Started }) {
  const { t } = useTranslation('tokens')
  return (
    <div className="stack" role="status">
      <Alert
        type="success"
        showIcon
        title={t('rotate.started', { count: started.count })}
        description={started.ended === 0 ? undefined : t('rotate.ended', { count: started.ended })}
      />
      {started.effective ? null : <Alert type="warning" showIcon title={t('notYetEnded')} />}
      <ul className="tokens-list">
        {started.syncIds.map((id) => (
          <li key={id}>
            <RunLink id={id} />
          </li>
        ))}
      </ul>
    </div>
  )
}

function RunLink({ id }: { id: string }) {
  const { t } = useTranslation('tokens')
  const { data } = useQuery({
    queryKey: ['syncs', id],
    queryFn: () => call(api.GET('/api/v1/syncs/{id}', { params: { path: { id } } })),
    refetchInterval: 2_000,
  })
  return (
    <>
      <Link to={`/syncs/${id}`}>{data?.name ?? t('rotate.run')}</Link>{' '}
      {data === undefined ? null : <StateTag state={data.state} />}
    </>
  )
}

function loadScope(scope: Exclude<RotateScope, { bindings: Binding[] }>): Promise<Binding[]> {
  const { platformId, instanceId, spaceId } = scope
  const query = {
    limit: 200,
    ...(platformId === undefined ? {} : { platformId }),
    ...(instanceId === undefined ? {} : { instanceId }),
    ...(spaceId === undefined ? {} : { spaceId }),
  }
  return loadAll((cursor) => call(api.GET('/api/v1/bindings', { params: { query: { ...query, ...at(cursor) } } })))
}

function bodyOf(scope: RotateScope): Schemas['RotateBindings'] {
  if ('bindings' in scope) return { bindingIds: scope.bindings.map(({ id }) => id) }
  const { platformId, instanceId, spaceId } = scope
  const named = {
    ...(platformId === undefined ? {} : { platformId }),
    ...(instanceId === undefined ? {} : { instanceIds: [instanceId] }),
    ...(spaceId === undefined ? {} : { spaceIds: [spaceId] }),
  }
  return Object.keys(named).length === 0 ? { all: true } : named
}
