import { useQuery } from '@tanstack/react-query'
import { Alert, Button, Table } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link, useNavigate, useParams } from 'react-router'
import { api, call, type Schemas } from '../../api/client.ts'
import { at, useAll, useList } from '../../api/lists.ts'
import { useRole } from '../../api/session.ts'
import { EmptyState } from '../../components/empty-state.tsx'
import { LoadMore } from '../../components/load-more.tsx'
import { Page as Frame } from '../../components/page.tsx'
import { ProblemAlert } from '../../components/problem-alert.tsx'
import { StateTag } from '../../components/state-tag.tsx'
import { Time } from '../../components/time.tsx'
import { Wide } from '../../components/wide.tsx'
import { ProfileActions } from './profile-actions.tsx'
import { ProfileForm } from './profile-form.tsx'
import { useScheduleText } from './schedule-text.ts'

type Profile = Schemas['Profile']

/** Saved selections with a schedule. /profiles/<id> opens one for editing. */
export function Page() {
  const { t } = useTranslation('profiles')
  const mayEdit = useRole('operator')
  const { profileId } = useParams()
  const navigate = useNavigate()
  const scheduleText = useScheduleText()
  const [isMaking, setMaking] = useState(false)
  const profiles = useList<Profile>(
    ['profiles'],
    (cursor) => call(api.GET('/api/v1/profiles', { params: { query: { limit: 100, ...at(cursor) } } })),
    { refetchInterval: 10_000 },
  )
  const platforms = useAll<Schemas['Platform']>(['platforms'], (cursor) =>
    call(api.GET('/api/v1/platforms', { params: { query: { limit: 200, ...at(cursor) } } })),
  )
  const names = new Map(platforms.data?.map(({ id, name }) => [id, name]))
  // By its own: it may be on a later page of the list, or gone.
  const opened = useQuery({
    queryKey: ['profiles', profileId],
    queryFn: () => call(api.GET('/api/v1/profiles/{id}', { params: { path: { id: profileId ?? '' } } })),
    enabled: profileId !== undefined && mayEdit,
    // Opened again it is read again: the form takes the version that it finds.
    gcTime: 0,
  })
  const make = (
    <Button type="primary" onClick={() => setMaking(true)}>
      {t('new')}
    </Button>
  )
  return (
    <Frame title={t('title')} lead={t('lead')} actions={mayEdit ? make : null}>
      {opened.error === null || opened.data !== undefined ? null : (
        <ProblemAlert error={opened.error} onRetry={() => void opened.refetch()} />
      )}
      {profileId === undefined || mayEdit ? null : (
        <Alert type="info" showIcon title={t('common:needsRole', { role: t('common:roles.operator') })} />
      )}
      {profiles.error === null ? null : <ProblemAlert error={profiles.error} onRetry={profiles.refetch} />}
      {!profiles.isLoading && profiles.items.length === 0 && profiles.error === null ? (
        <EmptyState title={t('empty.title')} text={t('empty.text')} {...(mayEdit ? { actions: make } : {})} />
      ) : (
        <Wide label={t('title')} min="content">
          <Table<Profile>
            rowKey="id"
            size="middle"
            pagination={false}
            loading={profiles.isLoading}
            dataSource={profiles.items}
            columns={[
              {
                title: t('columns.name'),
                render: (_, { id, name }) => (mayEdit ? <Link to={`/profiles/${id}`}>{name}</Link> : name),
              },
              { title: t('columns.platform'), render: (_, { platformId }) => names.get(platformId) ?? '–' },
              {
                title: t('columns.schedule'),
                render: (_, profile) => (
                  <>
                    <div>{scheduleText(profile.schedule)}</div>
                    {profile.paused ? (
                      <div className="muted">{t('pausedBecause', { reason: profile.pauseReason ?? '–' })}</div>
                    ) : null}
                  </>
                ),
              },
              {
                title: t('columns.next'),
                render: (_, { nextRuns, paused }) => (
                  <>
                    {paused || nextRuns === null
                      ? '–'
                      : nextRuns.slice(0, 2).map((at) => (
                          <div key={at}>
                            <Time at={at} />
                          </div>
                        ))}
                  </>
                ),
              },
              {
                title: t('columns.last'),
                render: (_, { lastRun }) =>
                  lastRun === null ? (
                    '–'
                  ) : (
                    <Link to={`/syncs/${lastRun.id}`}>
                      <StateTag state={lastRun.state} />
                    </Link>
                  ),
              },
              { title: t('columns.drift'), render: (_, { driftPolicy }) => t(`driftPolicies.${driftPolicy}`) },
              {
                title: <span className="unseen">{t('common:more')}</span>,
                render: (_, profile) => (mayEdit ? <ProfileActions profile={profile} /> : null),
              },
            ]}
          />
          <LoadMore list={profiles} />
        </Wide>
      )}
      {isMaking ? <ProfileForm profile={null} onClose={() => setMaking(false)} /> : null}
      {profileId === undefined || !mayEdit || opened.data === undefined ? null : (
        <ProfileForm key={profileId} profile={opened.data} onClose={() => navigate('/profiles')} />
      )}
    </Frame>
  )
}
