import { DownloadOutlined } from '@ant-design/icons'
import { Alert, Button, Dropdown, Input, Table } from 'antd'
import { useId } from 'react'
import { useTranslation } from 'react-i18next'
import { useSearchParams } from 'react-router'
import { api, call, type Schemas } from '../../api/client.ts'
import { at, useList } from '../../api/lists.ts'
import { useRole } from '../../api/session.ts'
import { EmptyState } from '../../components/empty-state.tsx'
import { FilterInput } from '../../components/filter-input.tsx'
import { LoadMore } from '../../components/load-more.tsx'
import { Page as Frame } from '../../components/page.tsx'
import { ProblemAlert } from '../../components/problem-alert.tsx'
import { Select } from '../../components/select.tsx'
import { Time } from '../../components/time.tsx'
import { Wide } from '../../components/wide.tsx'

type Event = Schemas['AuditEvent']

const RESOURCES = [
  'platform',
  'instance',
  'binding',
  'token',
  'space',
  'sync',
  'profile',
  'api-key',
  'webhook',
  'session',
  'audit',
] as const

/** Who did what, the newest first: names of fields, never values. */
export function Page() {
  const { t } = useTranslation('audit')
  const isAdmin = useRole('admin')
  const [address, setAddress] = useSearchParams()
  const dayId = useId()
  const resource = RESOURCES.find((known) => known === address.get('resource'))
  const actor = address.get('actor') ?? undefined
  const action = address.get('action') ?? undefined
  const days = { from: dayOf(address.get('from')), to: dayOf(address.get('to')) }
  const filter = {
    ...(resource === undefined ? {} : { resource }),
    ...(actor === undefined ? {} : { actor }),
    ...(action === undefined ? {} : { action }),
    ...(days.from === undefined ? {} : { from: startOf(days.from, 0) }),
    // The last day is in it as a whole.
    ...(days.to === undefined ? {} : { to: startOf(days.to, 1) }),
  }
  const events = useList<Event>(
    ['audit', filter],
    (cursor) => call(api.GET('/api/v1/audit', { params: { query: { limit: 100, ...filter, ...at(cursor) } } })),
    { enabled: isAdmin },
  )
  const choose = (name: string, value: string | undefined) =>
    setAddress((former) => {
      const next = new URLSearchParams(former)
      if (value === undefined || value === '') next.delete(name)
      else next.set(name, value)
      return next
    })
  if (!isAdmin) {
    return (
      <Frame title={t('title')} lead={t('lead')}>
        <Alert type="info" showIcon title={t('common:needsRole', { role: t('common:roles.admin') })} />
      </Frame>
    )
  }
  return (
    <Frame title={t('title')} lead={t('lead')} actions={<Export filter={filter} />}>
      <div className="row">
        <Select
          allowClear
          value={resource}
          placeholder={t('everything')}
          aria-label={t('columns.what')}
          style={{ width: 200 }}
          options={RESOURCES.map((value) => ({ value, label: t(`resources.${value}`) }))}
          onChange={(value?: string) => choose('resource', value)}
        />
        <FilterInput
          value={actor ?? ''}
          label={t('columns.who')}
          width={220}
          onSearch={(value) => choose('actor', value)}
        />
        <FilterInput
          value={action ?? ''}
          label={t('action')}
          width={160}
          onSearch={(value) => choose('action', value)}
        />
        {(['from', 'to'] as const).map((end) => (
          <span className="row" key={end}>
            <label className="muted" htmlFor={`${dayId}-${end}`}>
              {t(end)}
            </label>
            <Input
              id={`${dayId}-${end}`}
              type="date"
              value={days[end] ?? ''}
              style={{ width: 150 }}
              onChange={({ target }) => choose(end, target.value)}
            />
          </span>
        ))}
      </div>
      {events.error === null ? null : <ProblemAlert error={events.error} onRetry={events.refetch} />}
      {!events.isLoading && events.items.length === 0 && events.error === null ? (
        <EmptyState
          title={t('empty.title')}
          text={t('empty.text')}
          actions={
            Object.keys(filter).length === 0 ? null : <Button onClick={() => setAddress({})}>{t('clear')}</Button>
          }
        />
      ) : (
        <Wide label={t('title')}>
          <Table<Event>
            rowKey="id"
            size="small"
            pagination={false}
            loading={events.isLoading}
            dataSource={events.items}
            columns={[
              { title: t('columns.at'), render: (_, event) => <Time at={event.at} absolute /> },
              { title: t('columns.who'), dataIndex: 'actor', className: 'nowrap' },
              {
                title: t('columns.what'),
                render: (_, event) => (
                  <>
                    {t(`resources.${event.resource}`, { defaultValue: event.resource })} · <code>{event.action}</code>
                  </>
                ),
              },
              {
                title: t('columns.fields'),
                render: (_, { fields }) => (fields.length === 0 ? '–' : fields.join(', ')),
              },
              {
                title: t('columns.outcome'),
                render: (_, { outcome }) => (
                  <span style={outcome === 'refused' ? { color: 'var(--tf-bad)' } : {}}>
                    {t(`outcomes.${outcome}`)}
                  </span>
                ),
              },
              {
                title: t('columns.id'),
                render: (_, { resourceId }) => (resourceId === null ? '–' : <code>{resourceId}</code>),
              },
            ]}
          />
          <LoadMore list={events} />
        </Wide>
      )}
    </Frame>
  )
}

const FORMATS = ['csv', 'ndjson'] as const

/** What the filters leave, as a file: streamed by the browser itself, so that its length is of no matter. */
function Export({ filter }: { filter: Record<string, string> }) {
  const { t } = useTranslation('audit')
  return (
    <Dropdown
      trigger={['click']}
      menu={{
        items: FORMATS.map((format) => ({
          key: format,
          label: (
            <a href={`/api/v1/audit/export?${new URLSearchParams({ format, ...filter })}`} download>
              {t(`formats.${format}`)}
            </a>
          ),
        })),
      }}
    >
      <Button icon={<DownloadOutlined />}>{t('export')}</Button>
    </Dropdown>
  )
}

/** A date of an address; undefined for what is none. */
function dayOf(text: string | null): string | undefined {
  return text !== null && /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text)) ? text : undefined
}

/** When the day begins here, or the one so many days later. */
function startOf(day: string, later: number): string {
  const [year = 0, month = 1, date = 1] = day.split('-').map(Number)
  return new Date(year, month - 1, date + later).toISOString()
}
