import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { Alert, App, Button, Popconfirm, Table } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link } from 'react-router'
import { api, call, type Schemas } from '../../api/client.ts'
import { at, useList } from '../../api/lists.ts'
import { useRole } from '../../api/session.ts'
import { EmptyState } from '../../components/empty-state.tsx'
import { LoadMore } from '../../components/load-more.tsx'
import { ProblemAlert } from '../../components/problem-alert.tsx'
import { useProblemToast } from '../../components/problem-text.ts'
import { Time } from '../../components/time.tsx'
import { Wide } from '../../components/wide.tsx'
import { instanceQuery } from '../instances/queries.ts'
import { EditClientToken, MakeClientToken } from './client-token-forms.tsx'
import './access.css'

export type ClientToken = Schemas['ManualToken']

/** Tokens of one server that belong to no space: each for a client of one's own. */
export function ClientTokens({ instanceId }: { instanceId: string }) {
  const { t } = useTranslation('client-tokens')
  const mayMake = useRole('admin')
  const [isMaking, setMaking] = useState(false)
  const [edited, setEdited] = useState<ClientToken | null>(null)
  const { data: instance } = useQuery(instanceQuery(instanceId))
  const tokens = useList<ClientToken>(
    ['instances', instanceId, 'tokens'],
    (cursor) =>
      call(
        api.GET('/api/v1/instances/{id}/tokens', {
          params: { path: { id: instanceId }, query: { limit: 100, ...at(cursor) } },
        }),
      ),
    { refetchInterval: 10_000 },
  )
  const isEmpty = !tokens.isLoading && tokens.items.length === 0 && tokens.error === null
  const make = mayMake ? <Button onClick={() => setMaking(true)}>{t('new')}</Button> : null
  return (
    <section className="stack" aria-label={t('title')}>
      <div className="spread">
        <div>
          <h2 className="section-title">{t('title')}</h2>
          <p className="muted">{t('lead')}</p>
        </div>
        {isEmpty ? null : make}
      </div>
      {instance?.accessMode === 'anonymous' ? <Alert type="info" showIcon title={t('anonymous')} /> : null}
      {tokens.error === null ? null : <ProblemAlert error={tokens.error} onRetry={tokens.refetch} />}
      {isEmpty ? (
        <div className="panel">
          <EmptyState title={t('empty.title')} text={t(mayMake ? 'empty.text' : 'empty.textViewer')} actions={make} />
        </div>
      ) : (
        <TokenTable instanceId={instanceId} tokens={tokens} onEdit={setEdited} />
      )}
      {/* Beside the list and not in it: what is typed stays when somebody else ends the last one. */}
      {edited === null ? null : (
        <EditClientToken instanceId={instanceId} token={edited} onClose={() => setEdited(null)} />
      )}
      {isMaking ? <MakeClientToken instanceId={instanceId} onClose={() => setMaking(false)} /> : null}
    </section>
  )
}

function TokenTable(props: {
  instanceId: string
  tokens: ReturnType<typeof useList<ClientToken>>
  onEdit: (token: ClientToken) => void
}) {
  const { instanceId, tokens, onEdit } = props
  const { t } = useTranslation('client-tokens')
  const mayChange = useRole('operator')
  return (
    <Wide label={t('list')} min="content">
      <Table<ClientToken>
        rowKey="id"
        size="small"
        pagination={false}
        loading={tokens.isLoading}
        dataSource={tokens.items}
        columns={[
          {
            title: t('columns.name'),
            render: (_, { id, name }) => (
              <Link
                to={`/gateway-log?token=${id}`}
                className="clip access-name"
                title={name}
                aria-label={t('calls', { name })}
              >
                {name}
              </Link>
            ),
          },
          { title: t('columns.start'), render: (_, { start }) => <code>{start}…</code> },
          { title: t('columns.expires'), render: (_, token) => <Expiry token={token} /> },
          { title: t('columns.used'), render: (_, { lastUsedAt }) => <Time at={lastUsedAt} /> },
          {
            title: t('columns.headers'),
            render: (_, { passThroughHeaders }) => {
              const names = Object.keys(passThroughHeaders)
              return names.length === 0 ? '–' : <code>{names.join(', ')}</code>
            },
          },
          { title: t('columns.made'), render: (_, { createdAt }) => <Time at={createdAt} /> },
          ...(mayChange
            ? [
                {
                  title: <span className="unseen">{t('common:more')}</span>,
                  render: (_: unknown, token: ClientToken) => (
                    <span className="row" style={{ flexWrap: 'nowrap' }}>
                      <Button size="small" aria-label={t('editOf', { name: token.name })} onClick={() => onEdit(token)}>
                        {t('edit')}
                      </Button>
                      <EndToken instanceId={instanceId} token={token} />
                    </span>
                  ),
                },
              ]
            : []),
        ]}
      />
      <LoadMore list={tokens} />
    </Wide>
  )
}

function Expiry({ token: { expiresAt } }: { token: ClientToken }) {
  const { t } = useTranslation('client-tokens')
  if (expiresAt === null) return t('never')
  return (
    <>
      <Time at={expiresAt} />
      {Date.parse(expiresAt) <= Date.now() ? <span className="probe-bad"> · {t('expired')}</span> : null}
    </>
  )
}

function EndToken({ instanceId, token }: { instanceId: string; token: ClientToken }) {
  const { t } = useTranslation('client-tokens')
  const { message } = App.useApp()
  const tell = useProblemToast()
  const queries = useQueryClient()
  const ending = useMutation({
    mutationFn: () =>
      call(
        api.DELETE('/api/v1/instances/{id}/tokens/{tokenId}', {
          params: { path: { id: instanceId, tokenId: token.id } },
        }),
      ),
    onSuccess: ({ effective }) => (effective ? message.success(t('ended')) : message.warning(t('notYetEnded'))),
    onError: tell,
    onSettled: () => queries.invalidateQueries({ queryKey: ['instances', instanceId, 'tokens'] }),
  })
  return (
    <Popconfirm
      title={t('endQuestion', { name: token.name })}
      description={<div className="tokens-confirm">{t('endMeaning')}</div>}
      okText={t('end')}
      okButtonProps={{ danger: true }}
      cancelText={t('common:cancel')}
      onConfirm={() => ending.mutate()}
    >
      <Button size="small" danger loading={ending.isPending} aria-label={t('endOf', { name: token.name })}>
        {t('end')}
      </Button>
    </Popconfirm>
  )
}
