import { useQuery } from '@tanstack/react-query'
import { Button } from 'antd'
import { useTranslation } from 'react-i18next'
import { useNavigate, useParams, useSearchParams } from 'react-router'
import { useRole } from '../../api/session.ts'
import { formEnd } from '../../components/form-end.ts'
import { Loading } from '../../components/loading.tsx'
import { Page as Frame } from '../../components/page.tsx'
import { ProblemAlert } from '../../components/problem-alert.tsx'
import { StateTag } from '../../components/state-tag.tsx'
import { Tabs } from '../../components/tabs.tsx'
import { InstanceAccess } from '../access/instance-access.tsx'
import { InstanceLog } from '../gateway-log/instance-log.tsx'
import { EditInstance } from '../instances/instance-form.tsx'
import { type Instance, instanceQuery } from '../instances/queries.ts'
import { DeleteInstance } from './delete-instance.tsx'
import { OverviewTab } from './overview-tab.tsx'
import { PlaygroundTab } from './playground-tab.tsx'
import { ToolsTab } from './tools-tab.tsx'
import './instance.css'
import '../instances/instances.css'

const TABS = ['overview', 'tools', 'playground', 'access', 'log'] as const

/** One MCP server; the tab is part of the address, ?edit and ?delete open the forms. */
export function Page() {
  const { t } = useTranslation('instances')
  const { instanceId = '' } = useParams()
  const { data: instance, error, refetch } = useQuery(instanceQuery(instanceId))
  if (instance !== undefined) return <Loaded instance={instance} gone={formEnd(error) === 'gone' ? error : null} />
  return (
    <Frame title={t('title')} back={{ to: '/instances', label: t('title') }}>
      {error === null ? <Loading /> : <ProblemAlert error={error} onRetry={() => void refetch()} />}
    </Frame>
  )
}

/** `gone`: it has been deleted since. What is open, and typed, stays as it is. */
function Loaded({ instance, gone }: { instance: Instance; gone: Error | null }) {
  const { t } = useTranslation('instances')
  const { tab = 'overview' } = useParams()
  const [search, setSearch] = useSearchParams()
  const navigate = useNavigate()
  const isOperator = useRole('operator')
  // Beside what the tab keeps in the address: the chosen tool, the filters of a list.
  const openForm = (form: 'edit' | 'delete') => setSearch((former) => new URLSearchParams([...former, [form, '']]))
  const closeForm = () =>
    setSearch((former) => new URLSearchParams([...former].filter(([name]) => name !== 'edit' && name !== 'delete')), {
      replace: true,
    })
  return (
    <Frame
      title={instance.name}
      lead={instance.description === '' ? undefined : instance.description}
      back={{ to: '/instances', label: t('title') }}
      mark={<StateTag state={instance.status} />}
      actions={
        isOperator ? (
          <>
            <Button danger onClick={() => openForm('delete')}>
              {t('common:delete')}
            </Button>
            <Button onClick={() => openForm('edit')}>{t('common:edit')}</Button>
            <Button type="primary" onClick={() => navigate(`/syncs/new?instances=${instance.id}`)}>
              {t('select.sync')}
            </Button>
          </>
        ) : undefined
      }
    >
      {gone === null ? null : <ProblemAlert error={gone} />}
      <Tabs
        activeKey={tab}
        onChange={(key) => navigate(`/instances/${instance.id}${key === 'overview' ? '' : `/${key}`}`)}
        items={TABS.map((key) => ({
          key,
          label: t(`tabs.${key}`),
          children: key === tab ? <Tab name={key} instance={instance} /> : null,
        }))}
      />
      {isOperator && search.has('edit') ? <EditInstance instance={instance} onClose={closeForm} /> : null}
      {isOperator && search.has('delete') ? <DeleteInstance instance={instance} onClose={closeForm} /> : null}
    </Frame>
  )
}

function Tab({ name, instance }: { name: (typeof TABS)[number]; instance: Instance }) {
  switch (name) {
    case 'overview':
      return <OverviewTab instance={instance} />
    case 'tools':
      return <ToolsTab instance={instance} />
    case 'playground':
      return <PlaygroundTab instance={instance} />
    case 'access':
      return <InstanceAccess instanceId={instance.id} name={instance.name} />
    case 'log':
      return <InstanceLog instanceId={instance.id} />
  }
}
