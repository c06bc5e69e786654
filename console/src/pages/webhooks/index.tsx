import { useMutation, useQueryClient } from '@tanstack/react-query'
import { Alert, App, Button, Popconfirm, Switch, Table } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { api, call, type Schemas } from '../../api/client.ts'
import { at, useList } from '../../api/lists.ts'
import { useRole } from '../../api/session.ts'
import { Copyable } from '../../components/copyable.tsx'
import { EmptyState } from '../../components/empty-state.tsx'
import { LoadMore } from '../../components/load-more.tsx'
import { Page as Frame } from '../../components/page.tsx'
import { ProblemAlert } from '../../components/problem-alert.tsx'
import { useProblemToast } from '../../components/problem-text.ts'
import { Wide } from '../../components/wide.tsx'
import { Deliveries } from './deliveries.tsx'
import { WebhookForm } from './webhook-form.tsx'

export type Webhook = Schemas['Webhook']
type Opened = { kind: 'form'; webhook: Webhook | null } | { kind: 'deliveries'; webhook: Webhook } | null

/** Where notices go: failures, drift, credentials and tokens that end. */
export function Page() {
  const { t } = useTranslation('webhooks')
  const isAdmin = useRole('admin')
  const { modal, message } = App.useApp()
  const queries = useQueryClient()
  const tell = useProblemToast()
  const [opened, setOpened] = useState<Opened>(null)
  const webhooks = useList<Webhook>(
    ['webhooks'],
    (cursor) => call(api.GET('/api/v1/webhooks', { params: { query: { limit: 100, ...at(cursor) } } })),
    { enabled: isAdmin },
  )
  const settled = { onSettled: () => queries.invalidateQueries({ queryKey: ['webhooks'] }), onError: tell }
  const params = (id: string) => ({ params: { path: { id } } })
  const test = useMutation({
    mutationFn: (webhook: Webhook) => call(api.POST('/api/v1/webhooks/{id}/test', params(webhook.id))),
    onSuccess: (_, webhook) => {
      message.success(t('tested'))
      setOpened({ kind: 'deliveries', webhook })
    },
    ...settled,
  })
  const rotate = useMutation({
    mutationFn: ({ id }: Webhook) => call(api.POST('/api/v1/webhooks/{id}/rotate', params(id))),
    onSuccess: ({ name, secret }) =>
      modal.info({ title: t('secretOf', { name }), content: <Secret secret={secret} />, width: 560 }),
    gcTime: 0,
    ...settled,
  })
  const turn = useMutation({
    mutationFn: ({ webhook, enabled }: { webhook: Webhook; enabled: boolean }) =>
      call(
        api.PATCH('/api/v1/webhooks/{id}', {
          params: { path: { id: webhook.id }, header: { 'if-match': `"${webhook.rowVersion}"` } },
          body: { enabled },
        }),
      ),
    ...settled,
  })
  const remove = useMutation({
    mutationFn: ({ id }: Webhook) => call(api.DELETE('/api/v1/webhooks/{id}', params(id))),
    ...settled,
  })
  if (!isAdmin) {
    return (
      <Frame title={t('title')} lead={t('lead')}>
        <Alert type="info" showIcon title={t('common:needsRole', { role: t('common:roles.admin') })} />
      </Frame>
    )
  }
  const make = (
    <Button type="primary" onClick={() => setOpened({ kind: 'form', webhook: null })}>
      {t('new')}
    </Button>
  )
  return (
    <Frame title={t('title')} lead={t('lead')} actions={make}>
      {webhooks.error === null ? null : <ProblemAlert error={webhooks.error} onRetry={webhooks.refetch} />}
      {!webhooks.isLoading && webhooks.items.length === 0 && webhooks.error === null ? (
        <EmptyState title={t('empty.title')} text={t('empty.text')} actions={make} />
      ) : (
        <Wide label={t('title')} min="content">
          <Table<Webhook>
            rowKey="id"
            size="middle"
            pagination={false}
            loading={webhooks.isLoading}
            dataSource={webhooks.items}
            columns={[
              { title: t('columns.name'), dataIndex: 'name' },
              { title: t('columns.to'), render: (_, { origin }) => <code>{origin}</code> },
              { title: t('columns.template'), render: (_, { template }) => t(`templates.${template}`) },
              {
                title: t('columns.events'),
                render: (_, { events }) =>
                  events === 'all' ? t('allEvents') : t('someEvents', { count: events.length }),
              },
              {
                title: t('columns.enabled'),
                render: (_, webhook) => (
                  <Switch
                    size="small"
                    checked={webhook.enabled}
                    aria-label={t('enabledOf', { name: webhook.name })}
                    onChange={(enabled) => turn.mutate({ webhook, enabled })}
                  />
                ),
              },
              {
                title: <span className="unseen">{t('common:more')}</span>,
                render: (_, webhook) => (
                  <div className="row" style={{ flexWrap: 'nowrap' }}>
                    <Button
                      size="small"
                      aria-label={t('testOf', { name: webhook.name })}
                      onClick={() => test.mutate(webhook)}
                    >
                      {t('test')}
                    </Button>
                    <Button
                      size="small"
                      aria-label={t('deliveriesOf', { name: webhook.name })}
                      onClick={() => setOpened({ kind: 'deliveries', webhook })}
                    >
                      {t('deliveries.title')}
                    </Button>
                    <Button
                      size="small"
                      aria-label={t('editOf', { name: webhook.name })}
                      onClick={() => setOpened({ kind: 'form', webhook })}
                    >
                      {t('common:edit')}
                    </Button>
                    <Button
                      size="small"
                      aria-label={t('rotateOf', { name: webhook.name })}
                      onClick={() => rotate.mutate(webhook)}
                    >
                      {t('rotate')}
                    </Button>
                    <Popconfirm
                      title={t('deleteQuestion', { name: webhook.name })}
                      okText={t('common:delete')}
                      cancelText={t('common:cancel')}
                      onConfirm={() => remove.mutate(webhook)}
                    >
                      <Button size="small" danger aria-label={t('deleteOf', { name: webhook.name })}>
                        {t('common:delete')}
                      </Button>
                    </Popconfirm>
                  </div>
                ),
              },
            ]}
          />
          <LoadMore list={webhooks} />
        </Wide>
      )}
      {opened?.kind === 'form' ? <WebhookForm webhook={opened.webhook} onClose={() => setOpened(null)} /> : null}
      {opened?.kind === 'deliveries' ? <Deliveries webhook={opened.webhook} onClose={() => setOpened(null)} /> : null}
    </Frame>
  )
}

/** The signing secret, shown once. */
export function Secret({ secret }: { secret: string }) {
  const { t } = useTranslation('webhooks')
  return (
    <div className="stack">
      <p>{t('secretOnce')}</p>
      <Copyable text={secret} />
    </div>
  )
}
