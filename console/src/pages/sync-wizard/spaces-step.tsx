import { ReloadOutlined } from '@ant-design/icons'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Alert, Button, Input, Radio, Table } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Loading } from '../../components/loading.tsx'
import { ProblemAlert } from '../../components/problem-alert.tsx'
import { useServerText } from '../../components/server-text.ts'
import { Wide } from '../../components/wide.tsx'
import { CredentialForm } from '../platforms/credential-form.tsx'
import { platformQuery } from '../platforms/queries.ts'
import type { Choices } from './choices.ts'
import { Foot } from './foot.tsx'
import { chosenSpaces, type Space, spacesKey, useSpaces, whyNot } from './use-spaces.ts'

type Props = {
  choices: Choices
  onChange: (choices: Choices) => void
  onBack: () => void
  onNext: () => void
}

/** Which spaces. The selection is kept apart from what a search shows: hiding a space never drops it. */
export function SpacesStep({ choices, onChange, onBack, onNext }: Props) {
  const { t } = useTranslation('sync-wizard')
  const platformId = choices.platformId ?? ''
  const queries = useQueryClient()
  const platform = useQuery(platformQuery(platformId))
  const needsCookie = platform.data?.kind === 'coze' && !isUsable(platform.data)
  const spaces = useSpaces(platformId, platform.data !== undefined && !needsCookie)
  const [isReplacing, setReplacing] = useState(false)
  const [search, setSearch] = useState('')
  const found = filterSpaces(spaces.data ?? [], search)
  const chosen = chosenSpaces(spaces.data ?? [], choices)

  return (
    <>
      {platform.isLoading || spaces.isLoading ? <Loading /> : null}
      {platform.error === null ? null : <ProblemAlert error={platform.error} />}
      {needsCookie && platform.data !== undefined ? (
        <Alert
          type="warning"
          showIcon
          title={t(platform.data.hasCredential ? 'spaces.cookieDied' : 'spaces.cookieMissing')}
          action={
            <Button type="primary" onClick={() => setReplacing(true)}>
              {t('spaces.giveCookie')}
            </Button>
          }
        />
      ) : null}
      {isReplacing && platform.data !== undefined ? (
        <CredentialForm platform={platform.data} onClose={() => setReplacing(false)} />
      ) : null}
      {spaces.error === null ? null : <ProblemAlert error={spaces.error} onRetry={() => void spaces.refetch()} />}
      {spaces.data === undefined ? null : (
        <>
          <div className="spread">
            <Radio.Group
              value={choices.everySpace ? 'all' : 'some'}
              onChange={({ target }) => onChange({ ...choices, everySpace: target.value === 'all' })}
              options={[
                { value: 'some', label: t('spaces.some') },
                { value: 'all', label: t('spaces.all', { count: spaces.data.length }) },
              ]}
            />
            <div className="row">
              <Input.Search
                allowClear
                value={search}
                aria-label={t('spaces.search')}
                placeholder={t('spaces.search')}
                onChange={({ target }) => setSearch(target.value)}
                style={{ width: 240 }}
              />
              <Button
                icon={<ReloadOutlined />}
                loading={spaces.isFetching}
                onClick={() => void queries.invalidateQueries({ queryKey: spacesKey(platformId) })}
              >
                {t('spaces.refresh')}
              </Button>
            </div>
          </div>
          <SpaceTable spaces={found} choices={choices} isCoze={platform.data?.kind === 'coze'} onChange={onChange} />
        </>
      )}
      <Foot
        says={t('spaces.says', { count: chosen.length, total: spaces.data?.length ?? 0 })}
        onBack={onBack}
        onNext={onNext}
        nextDisabled={chosen.length === 0}
      />
    </>
  )
}

function SpaceTable(props: {
  spaces: Space[]
  choices: Choices
  isCoze: boolean
  onChange: (choices: Choices) => void
}) {
  const { t } = useTranslation('sync-wizard')
  const say = useServerText()
  const { spaces, choices, isCoze, onChange } = props
  return (
    // Not by Table's own scrolling: its measuring row would repeat the selection's checkbox, hidden yet focusable.
    <Wide label={t('steps.spaces')}>
      <Table<Space>
        rowKey="id"
        size="small"
        dataSource={spaces}
        pagination={spaces.length > 50 ? { pageSize: 50, showSizeChanger: false } : false}
        rowSelection={
          choices.everySpace
            ? undefined
            : {
                selectedRowKeys: choices.spaceIds,
                preserveSelectedRowKeys: true,
                onChange: (keys) => onChange({ ...choices, spaceIds: keys.map(String) }),
                getCheckboxProps: (space) => ({
                  disabled: whyNot(space) !== null,
                  'aria-label': t('spaces.select', { name: space.name }),
                }),
              }
        }
        columns={[
          {
            title: t('spaces.name'),
            dataIndex: 'name',
            render: (name: string, space) => (
              <>
                <div>{name}</div>
                {whyNot(space) === null ? null : (
                  <div className="muted">{space.archived ? t('spaces.archived') : say(space.problem ?? '')}</div>
                )}
              </>
            ),
          },
          {
            title: t('spaces.owner'),
            dataIndex: 'ownerName',
            render: (_: unknown, { ownerName, ownerEmail }) => (
              <>
                <div>{ownerName ?? '–'}</div>
                {ownerEmail === null ? null : <div className="muted">{ownerEmail}</div>}
              </>
            ),
          },
          ...(isCoze
            ? [
                {
                  title: t('spaces.role'),
                  dataIndex: 'role',
                  render: (role: string | null) =>
                    role === null ? '–' : t(`platforms:spaceRoles.${role}`, { defaultValue: role }),
                },
              ]
            : []),
          { title: t('spaces.remoteId'), dataIndex: 'remoteId', render: (id: string) => <code>{id}</code> },
        ]}
      />
    </Wide>
  )
}

function isUsable({ hasCredential, credentialState }: { hasCredential: boolean; credentialState: string }): boolean {
  return hasCredential && credentialState !== 'expired' && credentialState !== 'refused'
}

/** By name, owner or the platform's own id, as one reads them. */
function filterSpaces(spaces: Space[], search: string): Space[] {
  const wanted = search.trim().toLowerCase()
  if (wanted === '') return spaces
  return spaces.filter(({ name, ownerName, ownerEmail, remoteId }) =>
    [name, ownerName, ownerEmail, remoteId].some((text) => text?.toLowerCase().includes(wanted)),
  )
}
