import { useMutation, useQueryClient } from '@tanstack/react-query'
import { Alert, Form, Input, Radio, Switch } from 'antd'
import { useTranslation } from 'react-i18next'
import { useNavigate } from 'react-router'
import { api, call, type Schemas } from '../../api/client.ts'
import { useAsOpened } from '../../components/as-opened.ts'
import { showFieldErrors } from '../../components/form-problem.ts'
import { type HeaderRow, HeadersEditor, headerRows, headersOf } from '../../components/headers-editor.tsx'
import { Drawer } from '../../components/overlays.tsx'
import { ProblemAlert } from '../../components/problem-alert.tsx'
import { SaveButtons } from '../../components/save-buttons.tsx'
import { Select } from '../../components/select.tsx'
import { type Limits, LimitsFields } from './limits-fields.tsx'
import type { Instance } from './queries.ts'

type Values = {
  name: string
  description: string
  url: string
  transport: Instance['transport']
  accessMode: Instance['accessMode']
  status: 'active' | 'inactive'
  forwardAuthorization: boolean
  limits: Limits
  headers: HeaderRow[]
  passThrough: HeaderRow[]
}

const NEW: Values = {
  name: '',
  description: '',
  url: '',
  transport: 'streamable-http',
  accessMode: 'token',
  status: 'active',
  forwardAuthorization: false,
  limits: {},
  headers: [],
  passThrough: [],
}

export function CreateInstance({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation('instances')
  const queries = useQueryClient()
  const navigate = useNavigate()
  const save = async (values: Values) => {
    const { status: _active, ...body } = bodyOf(values)
    const made = await call(api.POST('/api/v1/instances', { body }))
    await queries.invalidateQueries({ queryKey: ['instances'] })
    // After the form has closed itself.
    setTimeout(() => navigate(`/instances/${made.id}?probe`))
  }
  return <InstanceForm title={t('add.title')} initial={NEW} save={save} onClose={onClose} />
}

/** Changes an instance as it was read: whoever was quicker is not overwritten. */
export function EditInstance(props: { instance: Instance; onClose: () => void }) {
  const { t } = useTranslation('instances')
  const instance = useAsOpened(props.instance)
  const queries = useQueryClient()
  const navigate = useNavigate()
  const { name, description, url, transport, accessMode, forwardAuthorization, limits } = instance
  const initial: Values = {
    name,
    description,
    url,
    transport,
    accessMode,
    forwardAuthorization,
    limits,
    status: instance.status === 'active' ? 'active' : 'inactive',
    headers: headerRows(instance.headers),
    passThrough: headerRows(instance.defaultPassThroughHeaders),
  }
  const save = async (values: Values) => {
    try {
      await call(
        api.PATCH('/api/v1/instances/{id}', {
          params: { path: { id: instance.id }, header: { 'if-match': `"${instance.rowVersion}"` } },
          body: changeOf(values, initial.status),
        }),
      )
    } finally {
      // Also when it was refused: opened again, the form shows what somebody else has made of it.
      await queries.invalidateQueries({ queryKey: ['instances'] })
    }
  }
  return (
    <InstanceForm
      title={t('edit.title', { name })}
      initial={initial}
      movedFrom={{ url, transport }}
      save={save}
      onClose={props.onClose}
      onGone={() => void navigate('/instances')}
    />
  )
}

type FormProps = {
  title: string
  initial: Values
  /** Where it points to now: elsewhere the sealed header values are void. */
  movedFrom?: Pick<Values, 'url' | 'transport'>
  save: (values: Values) => Promise<void>
  onClose: () => void
  onGone?: () => void
}

function InstanceForm({ title, initial, movedFrom, save, onClose, onGone }: FormProps) {
  const { t } = useTranslation('instances')
  const [form] = Form.useForm<Values>()
  const url = Form.useWatch('url', form)
  const transport = Form.useWatch('transport', form)
  const accessMode = Form.useWatch('accessMode', form)
  const saving = useMutation({ mutationFn: save })
  const hasSealed = initial.headers.length + initial.passThrough.length > 0
  const isMoved =
    movedFrom !== undefined && url !== undefined && (url !== movedFrom.url || transport !== movedFrom.transport)
  const fieldOf = (field: string) => {
    const [first = field, ...rest] = field.split('.')
    if (first === 'limits') return [first, ...rest]
    return [first === 'defaultPassThroughHeaders' ? 'passThrough' : first]
  }

  return (
    <Drawer
      open
      size={600}
      title={title}
      onClose={onClose}
      footer={<SaveButtons saving={saving} onSave={() => form.submit()} onClose={onClose} onGone={onGone} />}
    >
      <Form<Values>
        form={form}
        layout="vertical"
        requiredMark={false}
        scrollToFirstError
        initialValues={initial}
        onFinish={(values) =>
          saving.mutate(values, { onError: (error) => showFieldErrors(form, error, fieldOf), onSuccess: onClose })
        }
      >
        <Form.Item
          name="name"
          label={t('form.name')}
          extra={t('form.nameHelp')}
          rules={[{ required: true, whitespace: true, message: t('form.nameRequired') }]}
        >
          <Input maxLength={191} />
        </Form.Item>
        <Form.Item name="description" label={`${t('form.description')} (${t('common:optional')})`}>
          <Input.TextArea rows={2} maxLength={4000} />
        </Form.Item>
        <Form.Item
          name="url"
          label={t('form.url')}
          rules={[{ required: true, whitespace: true, message: t('form.urlRequired') }]}
        >
          <Input placeholder="https://mcp.example.com/mcp" inputMode="url" spellCheck={false} />
        </Form.Item>
        <Form.Item name="transport" label={t('form.transport')}>
          <Radio.Group
            optionType="button"
            options={(['streamable-http', 'sse'] as const).map((value) => ({ value, label: t(`transports.${value}`) }))}
          />
        </Form.Item>
        {isMoved && hasSealed ? <Alert type="warning" showIcon title={t('form.moved')} className="form-alert" /> : null}
        <Form.Item name="headers" label={t('form.headers')} extra={t('form.headersHelp')}>
          <HeadersEditor />
        </Form.Item>
        <Form.Item name="passThrough" label={t('form.passThrough')} extra={t('form.passThroughHelp')}>
          <HeadersEditor />
        </Form.Item>
        <Form.Item
          name="accessMode"
          label={t('form.access')}
          extra={accessMode === 'anonymous' ? t('form.anonymousHelp') : t('form.tokenHelp')}
        >
          <Select options={(['token', 'anonymous'] as const).map((value) => ({ value, label: t(`modes.${value}`) }))} />
        </Form.Item>
        <Form.Item
          name="forwardAuthorization"
          label={t('form.forward')}
          extra={t('form.forwardHelp')}
          valuePropName="checked"
        >
          <Switch />
        </Form.Item>
        <Form.Item>
          <LimitsFields />
        </Form.Item>
        {movedFrom === undefined ? null : (
          <Form.Item name="status" label={t('columns.status')} extra={t('form.statusHelp')}>
            <Radio.Group
              optionType="button"
              options={(['active', 'inactive'] as const).map((value) => ({
                value,
                label: t(`common:states.${value}`),
              }))}
            />
          </Form.Item>
        )}
      </Form>
      {saving.error === null ? null : <ProblemAlert error={saving.error} />}
    </Drawer>
  )
}

function bodyOf({ headers, passThrough, ...values }: Values): Schemas['InstanceInput'] & { status: Values['status'] } {
  return { ...values, headers: headersOf(headers), defaultPassThroughHeaders: headersOf(passThrough) }
}

/** A status that was not touched is left out: giving one would end a deletion that is under way. */
function changeOf(values: Values, former: Values['status']): Schemas['InstancePatch'] {
  const { status, ...body } = bodyOf(values)
  return status === former ? body : { ...body, status }
}
