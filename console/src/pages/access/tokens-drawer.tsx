import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { App, Button, Popconfirm } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link } from 'react-router'
import { api, call, type Schemas } from '../../api/client.ts'
import { useRole } from '../../api/session.ts'
import { Facts } from '../../components/facts.tsx'
import { Loading } from '../../components/loading.tsx'
import { Drawer } from '../../components/overlays.tsx'
import { ProblemAlert } from '../../components/problem-alert.tsx'
import { useProblemToast } from '../../components/problem-text.ts'
import { StateTag } from '../../components/state-tag.tsx'
import { Time } from '../../components/time.tsx'
import { RotateDialog } from './rotate-dialog.tsx'
import { mayRotate, nameOf } from './tokens.ts'
import './access.css'

type Token = Schemas['BindingToken']

/** The token of one authorization and those that it had: which are still good, until when, and who may still send them. */
export function TokensDrawer({ bindingId, onClose }: { bindingId: string; onClose: () => void }) {
  const { t } = useTranslation('tokens')
  const mayChange = useRole('operator')
  const [isRotating, setRotating] = useState(false)
  const params = { params: { path: { id: bindingId } } }
  const binding = useQuery({
    queryKey: ['bindings', bindingId],
    queryFn: () => call(api.GET('/api/v1/bindings/{id}', params)),
  })
  const tokens = useQuery({
    queryKey: ['bindings', bindingId, 'tokens'],
    queryFn: () => call(api.GET('/api/v1/bindings/{id}/tokens', params)),
    refetchInterval: 5_000,
  })
  const of = (state: Token['state']) => (tokens.data?.items ?? []).filter((token) => token.state === state)
  const former = of('retiring')
  const ended = of('revoked')
  const error = binding.error ?? tokens.error
  return (
    <Drawer
      open
      size={640}
      title={binding.data === undefined ? t('title') : t('titleOf', { name: nameOf(binding.data) })}
      onClose={onClose}
    >
      <div className="stack">
        {error === null ? null : <ProblemAlert error={error} onRetry={() => void tokens.refetch()} />}
        {tokens.isLoading ? <Loading /> : null}
        {tokens.data === undefined ? null : (
          <>
            <Section
              title={t('active')}
              actions={
                mayChange && binding.data !== undefined && mayRotate(binding.data) ? (
                  <Button onClick={() => setRotating(true)}>{t('rotate.button')}</Button>
                ) : null
              }
            >
              {of('active').length === 0 ? <p className="muted">{t('noneActive')}</p> : null}
              {of('active').map((token) => (
                <ActiveToken key={token.id} token={token} bindingId={bindingId} />
              ))}
            </Section>
            <Section title={t('former')}>
              {former.length === 0 ? <p className="muted">{t('noneFormer')}</p> : null}
              {former.map((token) => (
                <FormerToken key={token.id} token={token} bindingId={bindingId} locked={!mayChange} />
              ))}
            </Section>
            {ended.length === 0 ? null : (
              <Section title={t('ended')}>
                <ul className="tokens-ended">
                  {ended.map((token) => (
                    <li key={token.id}>
                      <code>{token.start}…</code>
                      <span className="muted">
                        {t('endedAt')} <Time at={token.revokedAt} />
                      </span>
                    </li>
                  ))}
                </ul>
              </Section>
            )}
          </>
        )}
      </div>
      {isRotating && binding.data !== undefined ? (
        <RotateDialog scope={{ bindings: [binding.data] }} onClose={() => setRotating(false)} />
      ) : null}
    </Drawer>
  )
}

function Section({
  title,
  actions,
  children,
}: {
  title: string
  actions?: React.ReactNode
  children: React.ReactNode
}) {
  return (
    <section className="stack" style={{ gap: 8 }} aria-label={title}>
      <div className="spread">
        <h2 className="tokens-title">{title}</h2>
        {actions}
      </div>
      {children}
    </section>
  )
}

function ActiveToken({ token, bindingId }: { token: Token; bindingId: string }) {
  const { t } = useTranslation('tokens')
  return (
    <div className="panel panel-body stack">
      <Facts
        items={[
          { label: t('facts.start'), value: <code>{token.start}…</code> },
          { label: t('facts.origin'), value: t(`origins.${token.origin}`) },
          { label: t('facts.made'), value: <Time at={token.createdAt} /> },
          { label: t('facts.proven'), value: <Time at={token.provenAt} /> },
          { label: t('facts.used'), value: <Time at={token.lastUsedAt} /> },
          { label: t('facts.expires'), value: token.expiresAt === null ? t('never') : <Time at={token.expiresAt} /> },
        ]}
      />
      <LogLink token={token} bindingId={bindingId} />
    </div>
  )
}

function FormerToken({ token, bindingId, locked }: { token: Token; bindingId: string; locked: boolean }) {
  const { t } = useTranslation('tokens')
  const stage = token.stage ?? 'over'
  return (
    <div className="panel panel-body stack" data-token={token.start}>
      <div className="spread">
        <span className="row">
          <code>{token.start}…</code>
          <StateTag state={stage} />
        </span>
        {locked ? null : <EndNow token={token} bindingId={bindingId} />}
      </div>
      <p className="muted">{t(`stages.${stage}`)}</p>
      <Facts
        items={[
          { label: t('facts.origin'), value: t(`origins.${token.origin}`) },
          { label: t('facts.replaced'), value: <Time at={token.retiringAt} /> },
          { label: t('facts.used'), value: <Time at={token.lastUsedAt} /> },
          { label: t('facts.ends'), value: <Time at={token.endsAt} /> },
        ]}
      />
      <LogLink token={token} bindingId={bindingId} />
    </div>
  )
}

function EndNow({ token, bindingId }: { token: Token; bindingId: string }) {
  const { t } = useTranslation('tokens')
  const { message } = App.useApp()
  const tell = useProblemToast()
  const queries = useQueryClient()
  // Its platform may still hold it: only somebody who has read that ends it.
  const isNeeded = token.stage === 'waiting'
  const ending = useMutation({
    mutationFn: () =>
      call(
        api.DELETE('/api/v1/bindings/{id}/tokens/{tokenId}', {
          params: { path: { id: bindingId, tokenId: token.id }, query: { force: isNeeded ? 'true' : 'false' } },
        }),
      ),
    onSuccess: ({ effective }) => (effective ? message.success(t('endedNow')) : message.warning(t('notYetEnded'))),
    onError: tell,
    onSettled: () => queries.invalidateQueries({ queryKey: ['bindings'] }),
  })
  return (
    <Popconfirm
      title={t('endQuestion', { start: token.start })}
      description={<div className="tokens-confirm">{t(isNeeded ? 'endNeeded' : 'endMeaning')}</div>}
      okText={t('endNow')}
      okButtonProps={{ danger: true }}
      cancelText={t('common:cancel')}
      onConfirm={() => ending.mutate()}
    >
      <Button size="small" danger loading={ending.isPending} aria-label={t('endOf', { start: token.start })}>
        {t('endNow')}
      </Button>
    </Popconfirm>
  )
}

function LogLink({ token, bindingId }: { token: Token; bindingId: string }) {
  const { t } = useTranslation('tokens')
  return <Link to={`/gateway-log?binding=${bindingId}&token=${token.id}`}>{t('calls')}</Link>
}
