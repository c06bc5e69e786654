import { Button, Table } from 'antd'
import { useTranslation } from 'react-i18next'
import { Link, useSearchParams } from 'react-router'
import { api, call, type Schemas } from '../../api/client.ts'
import { at, useAll, useList } from '../../api/lists.ts'
import { useRole } from '../../api/session.ts'
import { EmptyState } from '../../components/empty-state.tsx'
import { LoadMore } from '../../components/load-more.tsx'
import { Page as Frame } from '../../components/page.tsx'
import { ProblemAlert } from '../../components/problem-alert.tsx'
import { Select } from '../../components/select.tsx'
import { StateTag } from '../../components/state-tag.tsx'
import { Time } from '../../components/time.tsx'
import { Wide } from '../../components/wide.tsx'

type Sync = Schemas['Sync']
type State = Sync['state']

const STATES: readonly State[] = [
  'running',
  'queued',
  'paused',
  'waiting_for_credential',
  'planned',
  'succeeded',
  'partial',
  'failed',
  'cancelled',
]

/** Every run, the newest first. The filter is part of the address. */
export function Page() {
  const { t } = useTranslation('syncs')
  const mayRun = useRole('operator')
  const [address, setAddress] = useSearchParams()
  const state = STATES.find((known) => known === address.get('state'))
  const syncs = useList<Sync>(
    ['syncs', { state }],
    (cursor) =>
      call(
        api.GET('/api/v1/syncs', { params: { query: { ...(state === undefined ? {} : { state }), ...at(cursor) } } }),
      ),
    { refetchInterval: 5_000 },
  )
  const platforms = useAll<Schemas['Platform']>(['platforms'], (cursor) =>
    call(api.GET('/api/v1/platforms', { params: { query: { limit: 200, ...at(cursor) } } })),
  )
  const names = new Map(platforms.data?.map(({ id, name }) => [id, name]))
  const start = (
    <Link to="/syncs/new">
      <Button type="primary">{t('new')}</Button>
    </Link>
  )
  return (
    <Frame title={t('title')} lead={t('lead')} actions={mayRun ? start : null}>
      {syncs.error === null ? null : <ProblemAlert error={syncs.error} onRetry={syncs.refetch} />}
      <div className="row">
        <Select<State | ''>
          value={state ?? ''}
          aria-label={t('filter')}
          style={{ width: 220 }}
          options={[
            { value: '', label: t('every') },
            ...STATES.map((value) => ({ value, label: t(`common:states.${value}`) })),
          ]}
          onChange={(value) => setAddress(value === '' ? {} : { state: value })}
        />
      </div>
      {!syncs.isLoading && syncs.items.length === 0 && syncs.error === null ? (
        <EmptyState title={t('empty.title')} text={t('empty.text')} {...(mayRun ? { actions: start } : {})} />
      ) : (
        <Wide label={t('title')} min="content">
          <Table<Sync>
            rowKey="id"
            size="middle"
            pagination={false}
            loading={syncs.isLoading}
            dataSource={syncs.items}
            columns={[
              {
                title: t('columns.name'),
                render: (_, sync) => (
                  <Link to={`/syncs/${sync.id}`}>{sync.name === '' ? t(`actions.${sync.action}`) : sync.name}</Link>
                ),
              },
              { title: t('columns.state'), render: (_, sync) => <StateTag state={sync.state} /> },
              { title: t('columns.platform'), render: (_, sync) => names.get(sync.platformId) ?? '–' },
              {
                title: t('columns.kind'),
                render: (_, sync) => t(sync.dryRun ? 'kinds.plan' : `actions.${sync.action}`),
              },
              {
                title: t('columns.targets'),
                render: (_, { counts }) => (
                  <span className="num">
                    {t('targets', { done: counts.succeeded + counts.unchanged, total: counts.total })}
                    {counts.failed + counts.conflict === 0 ? null : (
                      <span className="muted"> · {t('bad', { count: counts.failed + counts.conflict })}</span>
                    )}
                  </span>
                ),
              },
              { title: t('columns.by'), dataIndex: 'requestedBy' },
              { title: t('columns.started'), render: (_, sync) => <Time at={sync.startedAt ?? sync.createdAt} /> },
            ]}
          />
          <LoadMore list={syncs} />
        </Wide>
      )}
    </Frame>
  )
}
