import { ReloadOutlined } from '@ant-design/icons'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { Button, Input, Table } from 'antd'
import { useDeferredValue, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { api, call, type Schemas } from '../../api/client.ts'
import { useList } from '../../api/lists.ts'
import { useRole } from '../../api/session.ts'
import { EmptyState } from '../../components/empty-state.tsx'
import { LoadMore } from '../../components/load-more.tsx'
import { ProblemAlert } from '../../components/problem-alert.tsx'
import { useServerText } from '../../components/server-text.ts'
import { StateTag } from '../../components/state-tag.tsx'
import { Time } from '../../components/time.tsx'
import { Wide } from '../../components/wide.tsx'
import type { Platform } from './queries.ts'
import { SpaceActions } from './space-actions.tsx'

/** The platform's spaces with owner and role; operators can ask the platform for them anew. */
export function Spaces({ platform }: { platform: Platform }) {
  const { t } = useTranslation('platforms')
  const server = useServerText()
  const isOperator = useRole('operator')
  const queries = useQueryClient()
  const [text, setText] = useState('')
  const search = useDeferredValue(text.trim())
  const spaces = useList(['platforms', platform.id, 'spaces', { search }], (cursor) =>
    call(
      api.GET('/api/v1/platforms/{id}/spaces', {
        params: { path: { id: platform.id }, query: { limit: 100, cursor, ...(search === '' ? {} : { search }) } },
      }),
    ),
  )
  const refreshing = useMutation({
    mutationFn: () =>
      call(
        api.GET('/api/v1/platforms/{id}/spaces', {
          params: { path: { id: platform.id }, query: { refresh: 'true', limit: 1 } },
        }),
      ),
    onSettled: () => queries.invalidateQueries({ queryKey: ['platforms'] }),
  })
  const error = refreshing.error ?? spaces.error
  const isEmpty = !spaces.isLoading && spaces.items.length === 0

  return (
    <section className="stack spaces" aria-label={t('spaces.title')}>
      <div className="spread">
        <h2>{t('spaces.title')}</h2>
        <div className="row">
          <Input.Search
            allowClear
            placeholder={t('spaces.search')}
            aria-label={t('spaces.search')}
            value={text}
            onChange={(event) => setText(event.target.value)}
            style={{ width: 220 }}
          />
          {isOperator ? (
            <Button icon={<ReloadOutlined />} onClick={() => refreshing.mutate()} loading={refreshing.isPending}>
              {t('spaces.refresh')}
            </Button>
          ) : null}
        </div>
      </div>
      {error === null ? null : <ProblemAlert error={error} />}
      <Wide label={t('spaces.title')} min="content">
        {isEmpty ? (
          <EmptyState
            title={t(search === '' ? 'spaces.none' : 'spaces.noMatch')}
            text={t(search === '' ? 'spaces.noneText' : 'spaces.noMatchText')}
          />
        ) : (
          <Table<Schemas['Space']>
            rowKey="id"
            size="middle"
            pagination={false}
            loading={spaces.isLoading}
            dataSource={spaces.items}
            columns={[
              {
                title: t('spaces.name'),
                render: (_, space) => (
                  <>
                    {space.name}
                    {space.archived ? <StateTag state="inactive" /> : null}
                    {space.disabledAt === null ? null : (
                      <div className="muted">
                        {t('space.isCutOff')} <Time at={space.disabledAt} />
                      </div>
                    )}
                    {space.problem === null ? null : <div className="space-problem">{server(space.problem)}</div>}
                  </>
                ),
              },
              {
                title: t('spaces.owner'),
                render: (_, { ownerName, ownerEmail }) => (
                  <>
                    {ownerName ?? '–'} {ownerEmail === null ? null : <span className="muted">{ownerEmail}</span>}
                  </>
                ),
              },
              {
                title: t('spaces.role'),
                render: (_, { role }) => (role === null ? '–' : t(`spaceRoles.${role}`, { defaultValue: role })),
              },
              { title: t('spaces.seen'), render: (_, { seenAt }) => <Time at={seenAt} /> },
              {
                title: <span className="unseen">{t('common:more')}</span>,
                render: (_, space) => <SpaceActions space={space} />,
              },
            ]}
          />
        )}
        <LoadMore list={spaces} />
      </Wide>
    </section>
  )
}
