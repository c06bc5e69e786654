import { Table } from 'antd'
import { useTranslation } from 'react-i18next'
import { Link } from 'react-router'
import type { List } from '../../api/lists.ts'
import { LoadMore } from '../../components/load-more.tsx'
import { StateTag } from '../../components/state-tag.tsx'
import { Wide } from '../../components/wide.tsx'
import { ProbeState } from './probe-state.tsx'
import type { Instance } from './queries.ts'

type Props = {
  list: List<Instance>
  selected: string[]
  /** Null: nothing can be selected. */
  onSelect: ((ids: string[]) => void) | null
}

/**
 * Scrolls in a frame of our own: Ant Design's would repeat the checkbox of the head, hidden and yet reachable by keyboard.
 * A selection survives a search: what is selected and not shown stays selected.
 */
export function InstanceTable({ list, selected, onSelect }: Props) {
  const { t } = useTranslation('instances')
  return (
    <Wide label={t('title')} min="content">
      <Table<Instance>
        rowKey="id"
        size="middle"
        pagination={false}
        dataSource={list.items}
        {...(onSelect === null
          ? {}
          : {
              rowSelection: {
                selectedRowKeys: selected,
                preserveSelectedRowKeys: true,
                onChange: (keys) => onSelect(keys.map(String)),
                getCheckboxProps: (instance) => ({
                  'aria-label': t('select.one', { name: instance.name }),
                  disabled: instance.status === 'removing',
                }),
                getTitleCheckboxProps: () => ({ 'aria-label': t('select.all') }),
              },
            })}
        columns={[
          {
            title: t('columns.name'),
            render: (_, { id, name, description }) => (
              <div className="instance-name">
                <Link to={`/instances/${id}`}>{name}</Link>
                {description === '' ? null : <div className="muted clip">{description}</div>}
              </div>
            ),
          },
          {
            title: t('columns.url'),
            render: (_, { url, transport }) => (
              <div className="instance-url">
                <code className="clip">{url}</code>
                <div className="muted">{t(`transports.${transport}`)}</div>
              </div>
            ),
          },
          { title: t('columns.access'), render: (_, { accessMode }) => t(`modes.${accessMode}`) },
          { title: t('columns.status'), render: (_, { status }) => <StateTag state={status} /> },
          { title: t('columns.probe'), render: (_, instance) => <ProbeState instance={instance} /> },
          {
            title: t('columns.config'),
            render: (_, { id }) => <Link to={`/instances/${id}/access`}>{t('columns.open')}</Link>,
          },
        ]}
      />
      <LoadMore list={list} />
    </Wide>
  )
}
