import { Switch, Table, Tag } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useSearchParams } from 'react-router'
import { api, call, type Schemas } from '../../api/client.ts'
import { at, useAll, useList } from '../../api/lists.ts'
import { EmptyState } from '../../components/empty-state.tsx'
import { FilterInput } from '../../components/filter-input.tsx'
import { LoadMore } from '../../components/load-more.tsx'
import { ProblemAlert } from '../../components/problem-alert.tsx'
import { Select } from '../../components/select.tsx'
import { Time } from '../../components/time.tsx'
import { Wide } from '../../components/wide.tsx'
import { formatDuration } from '../sync-run/duration.tsx'

type Entry = Schemas['GatewayLogEntry']

const TAIL_MS = 2_000
const CLASSES = ['2xx', '4xx', '5xx'] as const

/** Calls as the gateway judged and carried them: never a value, only who, what, how it ended. */
export function LogTable({ instanceId }: { instanceId?: string }) {
  const { t, i18n } = useTranslation('gateway-log')
  const [address, setAddress] = useSearchParams()
  const [isLive, setLive] = useState(true)
  const bindingId = address.get('binding') ?? undefined
  // A former token's calls: the drawer of tokens leads here.
  const tokenId = address.get('token') ?? undefined
  const tool = address.get('tool') ?? undefined
  const status = CLASSES.find((known) => known === address.get('status'))
  const filter = {
    ...(instanceId === undefined ? {} : { instanceId }),
    ...(bindingId === undefined ? {} : { bindingId }),
    ...(tokenId === undefined ? {} : { tokenId }),
    ...(tool === undefined ? {} : { tool }),
    ...(status === undefined ? {} : { status }),
  }
  const log = useList<Entry>(
    ['gateway', 'logs', filter],
    (cursor) => call(api.GET('/api/v1/gateway/logs', { params: { query: { limit: 100, ...filter, ...at(cursor) } } })),
    { refetchInterval: isLive ? TAIL_MS : false },
  )
  const bindings = useAll<Schemas['Binding']>(['bindings', { instanceId: instanceId ?? '' }], (cursor) =>
    call(
      api.GET('/api/v1/bindings', {
        params: { query: { limit: 200, ...(instanceId === undefined ? {} : { instanceId }), ...at(cursor) } },
      }),
    ),
  )
  const names = new Map(bindings.data?.map(({ id, space, instance }) => [id, `${space.name} · ${instance.name}`]))
  const choose = (name: string, value: string | undefined) =>
    setAddress((former) => {
      const next = new URLSearchParams(former)
      if (value === undefined || value === '') next.delete(name)
      else next.set(name, value)
      return next
    })
  return (
    <>
      <div className="row">
        <Select
          allowClear
          showSearch={{ optionFilterProp: 'label' }}
          value={bindingId}
          placeholder={t('everySpace')}
          aria-label={t('columns.caller')}
          style={{ width: 240 }}
          options={[...names].map(([value, label]) => ({ value, label }))}
          onChange={(value?: string) => choose('binding', value)}
        />
        <Select
          allowClear
          value={status}
          placeholder={t('everyStatus')}
          aria-label={t('columns.status')}
          style={{ width: 150 }}
          options={CLASSES.map((value) => ({ value, label: t(`classes.${value}`) }))}
          onChange={(value?: string) => choose('status', value)}
        />
        <FilterInput value={tool ?? ''} label={t('tool')} width={200} onSearch={(value) => choose('tool', value)} />
        {tokenId === undefined ? null : (
          <Tag closable onClose={() => choose('token', undefined)}>
            {t('oneToken')}
          </Tag>
        )}
        <span className="row">
          <Switch size="small" checked={isLive} onChange={setLive} aria-label={t('live')} />
          <span aria-hidden="true">{t('live')}</span>
        </span>
      </div>
      {log.error === null ? null : <ProblemAlert error={log.error} onRetry={log.refetch} />}
      {!log.isLoading && log.items.length === 0 && log.error === null ? (
        <EmptyState title={t('empty.title')} text={t('empty.text')} />
      ) : (
        <Wide label={t('title')}>
          <Table<Entry>
            rowKey="id"
            size="small"
            pagination={false}
            loading={log.isLoading}
            dataSource={log.items}
            columns={[
              { title: t('columns.at'), render: (_, entry) => <Time at={entry.at} absolute /> },
              {
                title: t('columns.caller'),
                render: (_, entry) =>
                  entry.bindingId === null
                    ? entry.tokenName || t(entry.tokenId === null ? 'nobody' : 'manual')
                    : (names.get(entry.bindingId) ?? entry.bindingId),
              },
              { title: t('columns.method'), render: (_, { method }) => <code>{method}</code> },
              {
                title: t('columns.tool'),
                render: (_, { toolName }) => (toolName === null ? '–' : <code>{toolName}</code>),
              },
              {
                title: t('columns.status'),
                render: (_, { status: code, errorCode }) => (
                  <span className="num" style={code >= 400 ? { color: 'var(--tf-bad)' } : {}}>
                    {code} {errorCode === null ? '' : t(`refusals.${errorCode}`, { defaultValue: errorCode })}
                  </span>
                ),
              },
              {
                title: t('columns.took'),
                align: 'right',
                render: (_, { durationMs }) => <span className="num">{formatDuration(durationMs, i18n.language)}</span>,
              },
              {
                title: t('columns.bytes'),
                align: 'right',
                render: (_, { requestBytes, responseBytes }) => (
                  <span className="num">
                    {requestBytes} / {responseBytes}
                  </span>
                ),
              },
              { title: t('columns.trace'), render: (_, { traceId }) => <code>{traceId.slice(0, 12)}</code> },
            ]}
          />
          <LoadMore list={log} />
        </Wide>
      )}
    </>
  )
}
