import { useMutation, useQueryClient } from '@tanstack/react-query'
import { App, Form, Input, Radio } from 'antd'
import { useTranslation } from 'react-i18next'
import { api, call, type Schemas } from '../../api/client.ts'
import { FormDialog } from '../../components/form-dialog.tsx'
import { showFieldErrors } from '../../components/form-problem.ts'
import { Select } from '../../components/select.tsx'
import { Secret } from './index.tsx'

type Webhook = Schemas['Webhook']
type Event = Exclude<Webhook['events'], 'all'>[number]

/** Every event there is; the type makes the compiler ask for one that is added. */
const EVENTS = Object.keys({
  'sync.failed': true,
  'sync.partial': true,
  'sync.waiting_for_credential': true,
  'drift.found': true,
  'credential.expiring': true,
  'credential.expired': true,
  'credential.refused': true,
  'token.expiring': true,
  'token.still_used': true,
} satisfies Record<Event, true>) as Event[]

const TEMPLATES: readonly Webhook['template'][] = ['generic', 'feishu', 'dingtalk', 'slack']

type Values = {
  name: string
  url?: string
  template: Webhook['template']
  language: Webhook['language']
  botSecret?: string
  all: boolean
  events?: Event[]
}

/** Makes a webhook, or changes one. The address and the bot's secret are write-only: left empty, they stay. */
export function WebhookForm({ webhook, onClose }: { webhook: Webhook | null; onClose: () => void }) {
  const { t } = useTranslation('webhooks')
  const { modal } = App.useApp()
  const queries = useQueryClient()
  const [form] = Form.useForm<Values>()
  const all = Form.useWatch('all', form)
  const template = Form.useWatch('template', form)
  const save = useMutation({
    mutationFn: async (values: Values): Promise<{ name: string; secret: string } | null> => {
      const body = {
        name: values.name,
        template: values.template,
        language: values.language,
        events: values.all ? ('all' as const) : (values.events ?? []),
        ...(values.botSecret ? { botSecret: values.botSecret } : {}),
      }
      if (webhook === null) return call(api.POST('/api/v1/webhooks', { body: { ...body, url: values.url ?? '' } }))
      const params = { path: { id: webhook.id }, header: { 'if-match': `"${webhook.rowVersion}"` } }
      await call(
        api.PATCH('/api/v1/webhooks/{id}', { params, body: { ...body, ...(values.url ? { url: values.url } : {}) } }),
      )
      return null
    },
    onSuccess: (made) => {
      onClose()
      if (made === null) return
      modal.info({ title: t('secretOf', { name: made.name }), content: <Secret secret={made.secret} />, width: 560 })
    },
    onError: (error) => showFieldErrors(form, error),
    onSettled: () => queries.invalidateQueries({ queryKey: ['webhooks'] }),
    gcTime: 0,
  })
  return (
    <FormDialog<Values>
      title={webhook === null ? t('new') : webhook.name}
      okText={t('common:save')}
      form={form}
      initialValues={{
        name: webhook?.name,
        template: webhook?.template ?? 'generic',
        language: webhook?.language ?? 'en',
        all: (webhook?.events ?? 'all') === 'all',
        ...(webhook === null || webhook.events === 'all' ? {} : { events: webhook.events }),
      }}
      saving={save}
      onClose={onClose}
    >
      <Form.Item name="name" label={t('columns.name')} rules={[{ required: true, message: t('nameRequired') }]}>
        <Input autoComplete="off" maxLength={191} />
      </Form.Item>
      <Form.Item name="template" label={t('columns.template')}>
        <Select options={TEMPLATES.map((value) => ({ value, label: t(`templates.${value}`) }))} />
      </Form.Item>
      <Form.Item
        name="url"
        label={t('url')}
        extra={t(webhook === null ? 'urlHelp' : 'urlKept')}
        rules={webhook === null ? [{ required: true, message: t('urlRequired') }] : []}
      >
        <Input autoComplete="off" className="code" />
      </Form.Item>
      {template === 'feishu' || template === 'dingtalk' ? (
        <Form.Item
          name="botSecret"
          label={`${t('botSecret')} (${t('common:optional')})`}
          extra={webhook?.hasBotSecret ? t('urlKept') : t('botSecretHelp')}
        >
          <Input.Password autoComplete="new-password" />
        </Form.Item>
      ) : null}
      <Form.Item name="language" label={t('language')}>
        <Radio.Group options={(['en', 'zh'] as const).map((value) => ({ value, label: t(`languages.${value}`) }))} />
      </Form.Item>
      <Form.Item name="all" label={t('columns.events')}>
        <Radio.Group
          options={[
            { value: true, label: t('allEvents') },
            { value: false, label: t('chosenEvents') },
          ]}
        />
      </Form.Item>
      {all === false ? (
        <Form.Item name="events" rules={[{ required: true, message: t('eventsRequired') }]}>
          <Select
            mode="multiple"
            aria-label={t('columns.events')}
            options={EVENTS.map((value) => ({ value, label: t(`events.${value.replace('.', '_')}`) }))}
          />
        </Form.Item>
      ) : null}
    </FormDialog>
  )
}
