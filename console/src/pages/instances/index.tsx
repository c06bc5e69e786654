import { PlusOutlined } from '@ant-design/icons'
import { Button, Input } from 'antd'
import { useDeferredValue, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useNavigate, useSearchParams } from 'react-router'
import { api, call } from '../../api/client.ts'
import { useList } from '../../api/lists.ts'
import { useRole } from '../../api/session.ts'
import { useAddressText } from '../../components/address-text.ts'
import { EmptyState } from '../../components/empty-state.tsx'
import { Loading } from '../../components/loading.tsx'
import { Page as Frame } from '../../components/page.tsx'
import { ProblemAlert } from '../../components/problem-alert.tsx'
import { ImportInstances } from './import-instances.tsx'
import { CreateInstance } from './instance-form.tsx'
import { InstanceTable } from './instance-table.tsx'
import './instances.css'

/** MCP servers: ?new and ?import open the forms; what is selected goes into the sync wizard. */
export function Page() {
  const { t } = useTranslation('instances')
  const navigate = useNavigate()
  const [params, setParams] = useSearchParams()
  const isOperator = useRole('operator')
  const [selected, setSelected] = useState<string[]>([])
  const [text, setText] = useAddressText(params.get('search') ?? '', (typed) =>
    setParams(typed === '' ? {} : { search: typed }, { replace: true }),
  )
  const search = useDeferredValue(text.trim())
  const instances = useList(['instances', { search }], (cursor) =>
    call(
      api.GET('/api/v1/instances', {
        params: { query: { limit: 100, cursor, ...(search === '' ? {} : { search }) } },
      }),
    ),
  )
  const open = (form: 'new' | 'import') => setParams({ [form]: '' })
  const close = () => setParams({}, { replace: true })
  const isEmpty = !instances.isLoading && instances.error === null && instances.items.length === 0
  const buttons = (
    <>
      <Button onClick={() => open('import')}>{t('import.button')}</Button>
      <Button type={selected.length === 0 ? 'primary' : 'default'} icon={<PlusOutlined />} onClick={() => open('new')}>
        {t('add.button')}
      </Button>
    </>
  )

  return (
    <Frame
      title={t('title')}
      lead={t('lead')}
      actions={isOperator && (!isEmpty || search !== '') ? buttons : undefined}
    >
      {instances.error === null ? null : <ProblemAlert error={instances.error} onRetry={instances.refetch} />}
      {isEmpty && search === '' ? (
        <div className="panel">
          <EmptyState title={t('empty.title')} text={t('empty.text')} actions={isOperator ? buttons : undefined} />
        </div>
      ) : (
        <>
          <div className="spread">
            <Input.Search
              allowClear
              aria-label={t('search')}
              placeholder={t('search')}
              value={text}
              onChange={({ target }) => setText(target.value)}
              style={{ width: 260 }}
            />
            {isOperator ? (
              <div className="row">
                <span className="muted" aria-live="polite">
                  {selected.length === 0 ? t('select.none') : t('select.some', { count: selected.length })}
                </span>
                <Button
                  type={selected.length > 0 ? 'primary' : 'default'}
                  disabled={selected.length === 0}
                  onClick={() => navigate(`/syncs/new?instances=${selected.join(',')}`)}
                >
                  {t('select.sync')}
                </Button>
              </div>
            ) : null}
          </div>
          {instances.isLoading ? <Loading /> : null}
          {isEmpty ? (
            <div className="panel">
              <EmptyState title={t('noMatch.title')} text={t('noMatch.text')} />
            </div>
          ) : null}
          {instances.items.length > 0 ? (
            <InstanceTable list={instances} selected={selected} onSelect={isOperator ? setSelected : null} />
          ) : null}
        </>
      )}
      {isOperator && params.has('new') ? <CreateInstance onClose={close} /> : null}
      {isOperator && params.has('import') ? <ImportInstances onClose={close} /> : null}
    </Frame>
  )
}
