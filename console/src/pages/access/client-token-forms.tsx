import { useMutation, useQueryClient } from '@tanstack/react-query'
import { Alert, App, Form, Input } from 'antd'
import { useTranslation } from 'react-i18next'
import { api, call, type Schemas } from '../../api/client.ts'
import { useSendOnce } from '../../api/sent-once.ts'
import { Copyable, CopyButton } from '../../components/copyable.tsx'
import { FormDialog } from '../../components/form-dialog.tsx'
import { type HeaderRow, HeadersEditor, headerRows, headersOf } from '../../components/headers-editor.tsx'
import { Modal } from '../../components/overlays.tsx'
import { Select } from '../../components/select.tsx'
import type { ClientToken } from './client-tokens.tsx'

type Expiry = NonNullable<Schemas['ManualTokenInput']['expiresIn']>
const EXPIRIES: readonly Expiry[] = ['7d', '15d', '30d', 'permanent']
type Values = { name: string; expiry: Expiry | 'keep'; headers: HeaderRow[] }

/** Made, the token stands here once, alone and within the configuration of a client; nothing else keeps it. */
export function MakeClientToken({ instanceId, onClose }: { instanceId: string; onClose: () => void }) {
  const { t } = useTranslation('client-tokens')
  const queries = useQueryClient()
  const [form] = Form.useForm<Values>()
  const sendOnce = useSendOnce()
  const make = useMutation({
    mutationFn: ({ name, expiry, headers }: Values) => {
      const passThroughHeaders = headersOf(headers)
      const body = { name: name.trim(), passThroughHeaders, ...(expiry === 'keep' ? {} : { expiresIn: expiry }) }
      return sendOnce(body, (header) =>
        call(api.POST('/api/v1/instances/{id}/tokens', { params: { path: { id: instanceId }, header }, body })),
      )
    },
    // Also of the server itself: it may be gone.
    onSettled: () => queries.invalidateQueries({ queryKey: ['instances', instanceId] }),
    gcTime: 0,
  })
  if (make.data !== undefined) return <Made made={make.data} onClose={onClose} />
  return (
    <FormDialog<Values>
      title={t('new')}
      okText={t('make')}
      form={form}
      initialValues={{ name: '', expiry: '30d', headers: [] }}
      saving={make}
      onClose={onClose}
    >
      <Fields expiries={EXPIRIES} />
    </FormDialog>
  )
}

/**
 * As it was read: when somebody else changed it meanwhile the server refuses, and nothing is overwritten. Opened again, it holds
 * what that one has saved; as it is, it would be refused each time.
 */
export function EditClientToken(props: { instanceId: string; token: ClientToken; onClose: () => void }) {
  const { instanceId, token, onClose } = props
  const { t } = useTranslation('client-tokens')
  const { message } = App.useApp()
  const queries = useQueryClient()
  const [form] = Form.useForm<Values>()
  const save = useMutation({
    mutationFn: ({ name, expiry, headers }: Values) =>
      call(
        api.PATCH('/api/v1/instances/{id}/tokens/{tokenId}', {
          params: {
            path: { id: instanceId, tokenId: token.id },
            header: { 'if-match': `"${token.rowVersion}"` },
          },
          body: {
            name: name.trim(),
            passThroughHeaders: headersOf(headers),
            ...(expiry === 'keep' ? {} : { expiresIn: expiry }),
          },
        }),
      ),
    onSuccess: ({ effective }) => {
      if (effective) message.success(t('saved'))
      else message.warning(t('notYetFollowed'))
      onClose()
    },
    onSettled: () => queries.invalidateQueries({ queryKey: ['instances', instanceId, 'tokens'] }),
  })
  return (
    <FormDialog<Values>
      title={t('editTitle', { name: token.name })}
      okText={t('common:save')}
      form={form}
      initialValues={{ name: token.name, expiry: 'keep', headers: headerRows(token.passThroughHeaders) }}
      saving={save}
      onClose={onClose}
    >
      <Fields expiries={['keep', ...EXPIRIES]} />
    </FormDialog>
  )
}

function Fields({ expiries }: { expiries: readonly Values['expiry'][] }) {
  const { t } = useTranslation('client-tokens')
  return (
    <>
      <Form.Item
        name="name"
        label={t('nameLabel')}
        extra={t('nameHelp')}
        rules={[{ required: true, whitespace: true, message: t('nameRequired') }]}
      >
        <Input autoComplete="off" maxLength={191} />
      </Form.Item>
      <Form.Item name="expiry" label={t('columns.expires')}>
        <Select options={expiries.map((value) => ({ value, label: t(`access:expiries.${value}`) }))} />
      </Form.Item>
      <Form.Item name="headers" label={`${t('headers')} (${t('common:optional')})`} extra={t('headersHelp')}>
        <HeadersEditor />
      </Form.Item>
    </>
  )
}

function Made({ made, onClose }: { made: Schemas['NewManualToken']; onClose: () => void }) {
  const { t } = useTranslation('client-tokens')
  const config = JSON.stringify(made.clientConfig, null, 2)
  return (
    <Modal open title={t('made', { name: made.name })} footer={null} onCancel={onClose}>
      <div className="stack">
        <Alert type="warning" showIcon title={t('onlyNow')} />
        <div>
          <h3 className="section-title">{t('token')}</h3>
          <Copyable text={made.token} />
        </div>
        <div className="stack" style={{ gap: 8 }}>
          <div>
            <h3 className="section-title">{t('config')}</h3>
            <p className="muted">{t('configText')}</p>
          </div>
          <pre className="code" style={{ margin: 0, whiteSpace: 'pre-wrap', overflowWrap: 'anywhere' }}>
            {config}
          </pre>
          <div>
            <CopyButton text={config} label={t('copyConfig')} />
          </div>
        </div>
      </div>
    </Modal>
  )
}
