import { useMutation, useQueryClient } from '@tanstack/react-query'
import { Alert, Button, DatePicker, Form, Input, Popconfirm, Table } from 'antd'
import type { Dayjs } from 'dayjs'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { api, call, type Schemas } from '../../api/client.ts'
import { at, useList } from '../../api/lists.ts'
import { type Role, useRole } from '../../api/session.ts'
import { Copyable } from '../../components/copyable.tsx'
import { FormDialog } from '../../components/form-dialog.tsx'
import { LoadMore } from '../../components/load-more.tsx'
import { Modal } from '../../components/overlays.tsx'
import { Page as Frame } from '../../components/page.tsx'
import { ProblemAlert } from '../../components/problem-alert.tsx'
import { useProblemToast } from '../../components/problem-text.ts'
import { Select } from '../../components/select.tsx'
import { StateTag } from '../../components/state-tag.tsx'
import { Time } from '../../components/time.tsx'
import { Wide } from '../../components/wide.tsx'

type ApiKey = Schemas['ApiKey']
type NewKey = { name: string; role: Role; expiresAt?: Dayjs | null }

const ROLES: readonly Role[] = ['viewer', 'operator', 'admin']

/** Keys for scripts and for signing in here. A key is shown once, when it is made. */
export function Page() {
  const { t } = useTranslation('api-keys')
  const isAdmin = useRole('admin')
  const tell = useProblemToast()
  const queries = useQueryClient()
  const [isMaking, setMaking] = useState(false)
  const keys = useList<ApiKey>(
    ['api-keys'],
    (cursor) => call(api.GET('/api/v1/api-keys', { params: { query: { limit: 100, ...at(cursor) } } })),
    { enabled: isAdmin },
  )
  const revoke = useMutation({
    mutationFn: (id: string) => call(api.DELETE('/api/v1/api-keys/{id}', { params: { path: { id } } })),
    onSettled: () => queries.invalidateQueries({ queryKey: ['api-keys'] }),
    onError: tell,
  })
  if (!isAdmin) {
    return (
      <Frame title={t('title')} lead={t('lead')}>
        <Alert type="info" showIcon title={t('common:needsRole', { role: t('common:roles.admin') })} />
      </Frame>
    )
  }
  return (
    <Frame
      title={t('title')}
      lead={t('lead')}
      actions={
        <Button type="primary" onClick={() => setMaking(true)}>
          {t('new')}
        </Button>
      }
    >
      {keys.error === null ? null : <ProblemAlert error={keys.error} onRetry={keys.refetch} />}
      <Wide label={t('title')} min="content">
        <Table<ApiKey>
          rowKey="id"
          size="middle"
          pagination={false}
          loading={keys.isLoading}
          dataSource={keys.items}
          columns={[
            { title: t('columns.name'), dataIndex: 'name' },
            { title: t('columns.start'), render: (_, { start }) => <code>{start}…</code> },
            { title: t('columns.role'), render: (_, { role }) => t(`common:roles.${role}`) },
            { title: t('columns.state'), render: (_, key) => <StateTag state={stateOf(key)} /> },
            { title: t('columns.used'), render: (_, { lastUsedAt }) => <Time at={lastUsedAt} /> },
            {
              title: t('columns.expires'),
              render: (_, { expiresAt }) => (expiresAt === null ? t('never') : <Time at={expiresAt} />),
            },
            { title: t('columns.made'), render: (_, { createdAt }) => <Time at={createdAt} /> },
            {
              title: <span className="unseen">{t('common:more')}</span>,
              render: (_, key) =>
                key.revokedAt === null ? (
                  <Popconfirm
                    title={t('revokeQuestion', { name: key.name })}
                    description={t('revokeMeaning')}
                    okText={t('revoke')}
                    cancelText={t('common:cancel')}
                    onConfirm={() => revoke.mutate(key.id)}
                  >
                    <Button size="small" danger aria-label={t('revokeOf', { name: key.name })}>
                      {t('revoke')}
                    </Button>
                  </Popconfirm>
                ) : null,
            },
          ]}
        />
        <LoadMore list={keys} />
      </Wide>
      {isMaking ? <MakeKey onClose={() => setMaking(false)} /> : null}
    </Frame>
  )
}

function MakeKey({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation('api-keys')
  const queries = useQueryClient()
  const [form] = Form.useForm<NewKey>()
  const make = useMutation({
    mutationFn: ({ name, role, expiresAt }: NewKey) =>
      call(
        api.POST('/api/v1/api-keys', {
          body: { name, role, ...(expiresAt == null ? {} : { expiresAt: expiresAt.toISOString() }) },
        }),
      ),
    onSuccess: () => queries.invalidateQueries({ queryKey: ['api-keys'] }),
    gcTime: 0,
  })
  if (make.data !== undefined) {
    return (
      <Modal open title={t('made', { name: make.data.name })} footer={null} onCancel={onClose}>
        <div className="stack">
          <Alert type="warning" showIcon title={t('onlyNow')} />
          <Copyable text={make.data.key} />
        </div>
      </Modal>
    )
  }
  return (
    <FormDialog<NewKey>
      title={t('new')}
      okText={t('make')}
      form={form}
      initialValues={{ role: 'viewer' }}
      saving={make}
      onClose={onClose}
    >
      <Form.Item
        name="name"
        label={t('columns.name')}
        rules={[{ required: true, whitespace: true, message: t('nameRequired') }]}
      >
        <Input autoComplete="off" maxLength={191} />
      </Form.Item>
      <Form.Item name="role" label={t('columns.role')} extra={t('roleHelp')}>
        <Select options={ROLES.map((value) => ({ value, label: t(`common:roles.${value}`) }))} />
      </Form.Item>
      <Form.Item name="expiresAt" label={`${t('columns.expires')} (${t('common:optional')})`}>
        <DatePicker showTime style={{ width: '100%' }} />
      </Form.Item>
    </FormDialog>
  )
}

function stateOf({ revokedAt, expiresAt }: ApiKey): string {
  if (revokedAt !== null) return 'revoked'
  return expiresAt !== null && new Date(expiresAt).getTime() <= Date.now() ? 'expired' : 'active'
}
