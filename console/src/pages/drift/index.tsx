import { Alert, Button, Table } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link, useSearchParams } from 'react-router'
import { api, call, type Schemas } from '../../api/client.ts'
import { at, useAll, useList } from '../../api/lists.ts'
import { useRole } from '../../api/session.ts'
import { EmptyState } from '../../components/empty-state.tsx'
import { LoadMore } from '../../components/load-more.tsx'
import { Page as Frame } from '../../components/page.tsx'
import { ProblemAlert } from '../../components/problem-alert.tsx'
import { useRecordedError } from '../../components/recorded-error.ts'
import { Select } from '../../components/select.tsx'
import { StateTag } from '../../components/state-tag.tsx'
import { Time } from '../../components/time.tsx'
import { Wide } from '../../components/wide.tsx'
import { AdoptDialog } from '../access/adopt-dialog.tsx'
import { StartRunsDialog } from '../access/start-runs-dialog.tsx'
import { mayAdopt, nameOf } from '../access/tokens.ts'

type Binding = Schemas['Binding']

const SHOWN = ['drifted', 'failed', 'conflict'] as const
type Shown = (typeof SHOWN)[number]

/** What no longer stands as it was written, or never came to stand: since when, which fields, and a sync that mends it. */
export function Page() {
  const { t } = useTranslation('drift')
  const mayRun = useRole('operator')
  const recorded = useRecordedError()
  const [adopting, setAdopting] = useState<Binding | null>(null)
  const [address, setAddress] = useSearchParams()
  const state: Shown = SHOWN.find((known) => known === address.get('state')) ?? 'drifted'
  // The overview leads here with a platform.
  const platformId = address.get('platform')
  const platforms = useAll<Schemas['Platform']>(['platforms'], (cursor) =>
    call(api.GET('/api/v1/platforms', { params: { query: { limit: 200, ...at(cursor) } } })),
  )
  const show = (shown: Shown, platform: string | null | undefined) =>
    setAddress({ state: shown, ...(platform == null ? {} : { platform }) })
  const filter = { state, ...(platformId === null ? {} : { platformId }) }
  const bindings = useList<Binding>(
    ['bindings', filter],
    (cursor) => call(api.GET('/api/v1/bindings', { params: { query: { limit: 100, ...filter, ...at(cursor) } } })),
    { refetchInterval: 10_000 },
  )
  return (
    <Frame title={t('title')} lead={t('lead')} actions={mayRun ? <Mend bindings={bindings.items} /> : null}>
      <div className="row">
        <Select<Shown>
          value={state}
          aria-label={t('show')}
          style={{ width: 220 }}
          options={SHOWN.map((value) => ({ value, label: t(`common:states.${value}`) }))}
          onChange={(value) => show(value, platformId)}
        />
        <Select
          allowClear
          value={platformId ?? undefined}
          placeholder={t('everyPlatform')}
          aria-label={t('platform')}
          style={{ width: 220 }}
          options={(platforms.data ?? []).map(({ id, name }) => ({ value: id, label: name }))}
          onChange={(value?: string) => show(state, value)}
        />
      </div>
      {bindings.error === null ? null : <ProblemAlert error={bindings.error} onRetry={bindings.refetch} />}
      {!bindings.isLoading && bindings.items.length === 0 && bindings.error === null ? (
        <EmptyState
          title={t('empty.title')}
          text={t('empty.text')}
          actions={
            <Link to="/profiles">
              <Button>{t('empty.profiles')}</Button>
            </Link>
          }
        />
      ) : (
        <Wide label={t('title')} min="content">
          <Table<Binding>
            rowKey="id"
            size="middle"
            pagination={false}
            loading={bindings.isLoading}
            dataSource={bindings.items}
            columns={[
              {
                title: t('columns.server'),
                render: (_, { instance }) => <Link to={`/instances/${instance.id}/access`}>{instance.name}</Link>,
              },
              {
                title: t('columns.space'),
                render: (_, { space, platform }) => (
                  <>
                    <div>{space.name}</div>
                    <div className="muted">{platform.name}</div>
                  </>
                ),
              },
              { title: t('columns.state'), render: (_, { deployment }) => <StateTag state={deployment.state} /> },
              { title: t('columns.since'), render: (_, { deployment }) => <Time at={deployment.driftSince} /> },
              {
                title: t('columns.what'),
                render: (_, { deployment }) => (
                  <>
                    {deployment.driftFields
                      .map((field) => t(`common:fields.${field}`, { defaultValue: field }))
                      .join(', ')}
                    {deployment.error === null ? null : (
                      <div>
                        {recorded(deployment.error).message}{' '}
                        <span className="muted">{recorded(deployment.error).hint}</span>
                      </div>
                    )}
                  </>
                ),
              },
              {
                title: t('columns.lastRun'),
                render: (_, { deployment }) =>
                  deployment.lastSyncId === null ? (
                    '–'
                  ) : (
                    <Link to={`/syncs/${deployment.lastSyncId}`}>{t('openRun')}</Link>
                  ),
              },
              {
                title: <span className="unseen">{t('tokens:adopt.button')}</span>,
                render: (_, binding) =>
                  mayRun && mayAdopt(binding) ? (
                    <Button
                      size="small"
                      aria-label={t('tokens:adopt.title', { name: nameOf(binding) })}
                      onClick={() => setAdopting(binding)}
                    >
                      {t('tokens:adopt.button')}
                    </Button>
                  ) : null,
              },
            ]}
          />
          <LoadMore list={bindings} />
        </Wide>
      )}
      {adopting === null ? null : (
        <AdoptDialog bindingId={adopting.id} name={nameOf(adopting)} onClose={() => setAdopting(null)} />
      )}
      {state === 'conflict' ? <Alert type="info" showIcon title={t('conflictHelp')} /> : null}
    </Frame>
  )
}

/** Syncs of exactly what is shown, one a platform and server: each plans anew and writes only what differs. */
function Mend({ bindings }: { bindings: Binding[] }) {
  const { t } = useTranslation('drift')
  // What was counted, whatever has been read since.
  const [meant, setMeant] = useState<Binding[] | null>(null)
  return (
    <>
      {bindings.length === 0 ? null : (
        <Button type="primary" onClick={() => setMeant(bindings)}>
          {t('mend')}
        </Button>
      )}
      {meant === null ? null : (
        <StartRunsDialog
          title={(count) => t('mendQuestion', { count })}
          okText={t('mend')}
          bindings={meant}
          how={{ name: t('mendName'), acceptWarnings: true }}
          onClose={() => setMeant(null)}
        >
          {() => <p>{t('mendMeaning')}</p>}
        </StartRunsDialog>
      )}
    </>
  )
}
