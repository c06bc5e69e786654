import { Table } from 'antd'
import { useTranslation } from 'react-i18next'
import { api, call, type Schemas } from '../../api/client.ts'
import { at, useList } from '../../api/lists.ts'
import { LoadMore } from '../../components/load-more.tsx'
import { Drawer } from '../../components/overlays.tsx'
import { ProblemAlert } from '../../components/problem-alert.tsx'
import { useServerText } from '../../components/server-text.ts'
import { StateTag } from '../../components/state-tag.tsx'
import { Time } from '../../components/time.tsx'
import { Wide } from '../../components/wide.tsx'

type Delivery = Schemas['WebhookDelivery']

/** What was sent to one webhook, and how it ended. */
export function Deliveries({ webhook, onClose }: { webhook: Schemas['Webhook']; onClose: () => void }) {
  const { t } = useTranslation('webhooks')
  const say = useServerText()
  const deliveries = useList<Delivery>(
    ['webhooks', webhook.id, 'deliveries'],
    (cursor) =>
      call(
        api.GET('/api/v1/webhooks/{id}/deliveries', { params: { path: { id: webhook.id }, query: { ...at(cursor) } } }),
      ),
    { refetchInterval: 2_000 },
  )
  return (
    <Drawer open size={640} title={t('deliveriesOf', { name: webhook.name })} onClose={onClose}>
      {deliveries.error === null ? null : <ProblemAlert error={deliveries.error} onRetry={deliveries.refetch} />}
      <Wide label={t('deliveries.title')}>
        <Table<Delivery>
          rowKey="id"
          size="small"
          pagination={false}
          loading={deliveries.isLoading}
          dataSource={deliveries.items}
          locale={{ emptyText: <span className="muted">{t('deliveries.none')}</span> }}
          columns={[
            { title: t('deliveries.event'), render: (_, { event }) => t(`events.${event.replace('.', '_')}`) },
            { title: t('deliveries.state'), render: (_, { state }) => <StateTag state={state} /> },
            { title: t('deliveries.attempts'), render: (_, { attempts }) => <span className="num">{attempts}</span> },
            {
              title: t('deliveries.answer'),
              render: (_, { lastStatus, lastError }) => (lastError === null ? (lastStatus ?? '–') : say(lastError)),
            },
            { title: t('deliveries.at'), render: (_, { createdAt }) => <Time at={createdAt} /> },
          ]}
        />
        <LoadMore list={deliveries} />
      </Wide>
    </Drawer>
  )
}
