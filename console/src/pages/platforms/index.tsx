import { PlusOutlined } from '@ant-design/icons'
import { Button, Dropdown } from 'antd'
import { useTranslation } from 'react-i18next'
import { useNavigate, useParams, useSearchParams } from 'react-router'
import { api, call } from '../../api/client.ts'
import { useList } from '../../api/lists.ts'
import { useRole } from '../../api/session.ts'
import { EmptyState } from '../../components/empty-state.tsx'
import { Loading } from '../../components/loading.tsx'
import { Page as Frame } from '../../components/page.tsx'
import { ProblemAlert } from '../../components/problem-alert.tsx'
import { CreatePlatform } from './create-platform.tsx'
import { PlatformDrawer } from './platform-drawer.tsx'
import { PlatformTable } from './platform-table.tsx'
import type { Kind } from './queries.ts'
import './platforms.css'

const KINDS: Kind[] = ['dify', 'coze']

/** Platforms: /platforms?new=dify opens the form, /platforms/<id> what is known of one. */
export function Page() {
  const { t } = useTranslation('platforms')
  const { platformId } = useParams()
  const navigate = useNavigate()
  const [search] = useSearchParams()
  const isAdmin = useRole('admin')
  const platforms = useList(['platforms'], (cursor) =>
    call(api.GET('/api/v1/platforms', { params: { query: { limit: 100, cursor } } })),
  )
  const newKind = KINDS.find((kind) => kind === search.get('new'))

  const add = (
    <Dropdown
      trigger={['click']}
      menu={{
        items: KINDS.map((kind) => ({
          key: kind,
          label: t(`add.${kind}`),
          onClick: () => navigate(`/platforms?new=${kind}`),
        })),
      }}
    >
      <Button type="primary" icon={<PlusOutlined />}>
        {t('add.button')}
      </Button>
    </Dropdown>
  )

  return (
    <Frame title={t('title')} lead={t('lead')} actions={isAdmin && platforms.items.length > 0 ? add : undefined}>
      {platforms.error === null ? null : <ProblemAlert error={platforms.error} onRetry={platforms.refetch} />}
      {platforms.isLoading ? <Loading /> : null}
      {!platforms.isLoading && platforms.error === null && platforms.items.length === 0 ? (
        <div className="panel">
          <EmptyState
            title={t('empty.title')}
            text={t(isAdmin ? 'empty.text' : 'empty.ask')}
            actions={
              isAdmin
                ? KINDS.map((kind) => (
                    <Button
                      key={kind}
                      type={kind === 'dify' ? 'primary' : 'default'}
                      onClick={() => navigate(`/platforms?new=${kind}`)}
                    >
                      {t(`add.${kind}`)}
                    </Button>
                  ))
                : undefined
            }
          />
        </div>
      ) : null}
      {platforms.items.length > 0 ? <PlatformTable list={platforms} /> : null}
      {newKind === undefined || !isAdmin ? null : <CreatePlatform kind={newKind} />}
      {platformId === undefined ? null : <PlatformDrawer key={platformId} id={platformId} />}
    </Frame>
  )
}
