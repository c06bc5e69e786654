import { Table } from 'antd'
import { useTranslation } from 'react-i18next'
import { Link } from 'react-router'
import type { List } from '../../api/lists.ts'
import { LoadMore } from '../../components/load-more.tsx'
import { Time } from '../../components/time.tsx'
import { Wide } from '../../components/wide.tsx'
import { CredentialState } from './credential-state.tsx'
import { KindMark } from './kind-mark.tsx'
import { type Platform, placeOf } from './queries.ts'

export function PlatformTable({ list }: { list: List<Platform> }) {
  const { t } = useTranslation('platforms')
  return (
    <Wide label={t('title')} min="content">
      <Table<Platform>
        rowKey="id"
        size="middle"
        pagination={false}
        dataSource={list.items}
        columns={[
          {
            title: t('columns.name'),
            render: (_, platform) => (
              <span className="platform-name">
                <KindMark kind={platform.kind} />
                <Link to={`/platforms/${platform.id}`}>{platform.name}</Link>
              </span>
            ),
          },
          { title: t('columns.place'), render: (_, platform) => <code>{placeOf(platform)}</code> },
          { title: t('columns.credential'), render: (_, platform) => <CredentialState platform={platform} /> },
          {
            title: t('columns.gateway'),
            render: (_, platform) => <code className="muted">{platform.effectiveGatewayUrl}</code>,
          },
          { title: t('columns.checked'), render: (_, platform) => <Time at={platform.checkedAt} /> },
        ]}
      />
      <LoadMore list={list} />
    </Wide>
  )
}
