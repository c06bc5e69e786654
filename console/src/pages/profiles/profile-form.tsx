import { useMutation, useQueryClient } from '@tanstack/react-query'
import { Form, Input, InputNumber, Radio } from 'antd'
import { useTranslation } from 'react-i18next'
import { api, call, type Schemas } from '../../api/client.ts'
import { at, useAll } from '../../api/lists.ts'
import { useAsOpened } from '../../components/as-opened.ts'
import { showFieldErrors } from '../../components/form-problem.ts'
import { Drawer } from '../../components/overlays.tsx'
import { ProblemAlert } from '../../components/problem-alert.tsx'
import { SaveButtons } from '../../components/save-buttons.tsx'
import { Select } from '../../components/select.tsx'
import { useSpaces } from '../sync-wizard/use-spaces.ts'
import { fromForm, type ProfileValues, toForm } from './profile-values.ts'

type Props = { profile: Schemas['Profile'] | null; onClose: () => void }

const POLICIES = ['upsert-only', 'create-only', 'mirror'] as const

/** Makes a profile, or changes one as it was read. */
export function ProfileForm({ onClose, ...props }: Props) {
  const { t } = useTranslation('profiles')
  const profile = useAsOpened(props.profile)
  const queries = useQueryClient()
  const [form] = Form.useForm<ProfileValues>()
  const platformId = Form.useWatch('platformId', form) ?? profile?.platformId ?? null
  const when = Form.useWatch('when', form)
  const allInstances = Form.useWatch('allInstances', form)
  const allSpaces = Form.useWatch('allSpaces', form)
  const platforms = useAll<Schemas['Platform']>(['platforms'], (cursor) =>
    call(api.GET('/api/v1/platforms', { params: { query: { limit: 200, ...at(cursor) } } })),
  )
  const instances = useAll<Schemas['Instance']>(['instances'], (cursor) =>
    call(api.GET('/api/v1/instances', { params: { query: { limit: 200, ...at(cursor) } } })),
  )
  const spaces = useSpaces(platformId)
  const save = useMutation({
    mutationFn: (values: ProfileValues) =>
      profile === null
        ? call(
            api.POST('/api/v1/profiles', {
              body: { ...fromForm(values), platformId: values.platformId, acceptWarnings: true },
            }),
          )
        : call(
            api.PATCH('/api/v1/profiles/{id}', {
              params: { path: { id: profile.id }, header: { 'if-match': `"${profile.rowVersion}"` } },
              body: fromForm(values),
            }),
          ),
    onSuccess: onClose,
    onError: (error) => showFieldErrors(form, error, (field) => [field.startsWith('schedule') ? 'cron' : field]),
    onSettled: () => queries.invalidateQueries({ queryKey: ['profiles'] }),
  })
  const required = (what: string) => [{ required: true, message: t('required', { what }) }]
  return (
    <Drawer
      open
      size={560}
      title={profile === null ? t('new') : profile.name}
      onClose={onClose}
      footer={<SaveButtons saving={save} onSave={() => form.submit()} onClose={onClose} />}
    >
      <Form<ProfileValues>
        form={form}
        layout="vertical"
        requiredMark={false}
        initialValues={toForm(profile)}
        onFinish={(values) => save.mutate(values)}
      >
        <Form.Item name="name" label={t('columns.name')} rules={required(t('columns.name'))}>
          <Input autoComplete="off" maxLength={191} />
        </Form.Item>
        <Form.Item name="platformId" label={t('columns.platform')} rules={required(t('columns.platform'))}>
          <Select
            disabled={profile !== null}
            options={(platforms.data ?? []).map(({ id, name }) => ({ value: id, label: name }))}
          />
        </Form.Item>
        <Form.Item name="allInstances" label={t('form.instances')}>
          <Radio.Group
            options={[
              { value: true, label: t('form.allInstances') },
              { value: false, label: t('form.someInstances') },
            ]}
          />
        </Form.Item>
        {allInstances === false ? (
          <Form.Item name="instanceIds" rules={required(t('form.instances'))}>
            <Select
              mode="multiple"
              aria-label={t('form.instances')}
              optionFilterProp="label"
              options={(instances.data ?? []).map(({ id, name }) => ({ value: id, label: name }))}
            />
          </Form.Item>
        ) : null}
        <Form.Item name="allSpaces" label={t('form.spaces')}>
          <Radio.Group
            options={[
              { value: true, label: t('form.allSpaces') },
              { value: false, label: t('form.someSpaces') },
            ]}
          />
        </Form.Item>
        {allSpaces === false ? (
          <Form.Item name="spaceIds" rules={required(t('form.spaces'))}>
            <Select
              mode="multiple"
              loading={spaces.isLoading}
              aria-label={t('form.spaces')}
              optionFilterProp="label"
              options={(spaces.data ?? []).map(({ id, name }) => ({ value: id, label: name }))}
            />
          </Form.Item>
        ) : null}
        {allSpaces === false && spaces.error !== null ? (
          <Form.Item>
            <ProblemAlert error={spaces.error} onRetry={() => void spaces.refetch()} />
          </Form.Item>
        ) : null}
        <Form.Item name="writePolicy" label={t('form.writePolicy')}>
          <Select options={POLICIES.map((value) => ({ value, label: t(`writePolicies.${value}`) }))} />
        </Form.Item>
        <Form.Item name="driftPolicy" label={t('columns.drift')}>
          <Radio.Group
            options={(['report', 'heal'] as const).map((value) => ({ value, label: t(`driftPolicies.${value}`) }))}
          />
        </Form.Item>
        <Form.Item name="onToolsChanged" label={t('form.onToolsChanged')}>
          <Radio.Group
            options={(['sync', 'report'] as const).map((value) => ({ value, label: t(`onToolsChanged.${value}`) }))}
          />
        </Form.Item>
        <Form.Item name="rotateAfterDays" label={t('form.rotateAfterDays')} extra={t('form.rotateAfterDaysHelp')}>
          <InputNumber min={1} max={36_500} precision={0} style={{ width: 160 }} />
        </Form.Item>
        <Form.Item name="when" label={t('columns.schedule')}>
          <Radio.Group
            options={(['never', 'interval', 'cron'] as const).map((value) => ({ value, label: t(`when.${value}`) }))}
          />
        </Form.Item>
        {when === 'interval' ? (
          <Form.Item name="intervalMinutes" label={t('form.minutes')} rules={required(t('form.minutes'))}>
            <InputNumber min={1} max={525_600} style={{ width: 160 }} />
          </Form.Item>
        ) : null}
        {when === 'cron' ? (
          <>
            <Form.Item name="cron" label={t('form.cron')} extra={t('form.cronHelp')} rules={required(t('form.cron'))}>
              <Input className="code" autoComplete="off" />
            </Form.Item>
            <Form.Item name="timezone" label={t('form.timezone')}>
              <Select
                showSearch
                options={Intl.supportedValuesOf('timeZone').map((value) => ({ value, label: value }))}
              />
            </Form.Item>
          </>
        ) : null}
        {when === 'never' || when === undefined ? null : (
          <>
            <Form.Item name="action" label={t('form.action')}>
              <Radio.Group
                options={(['sync', 'check'] as const).map((value) => ({ value, label: t(`scheduleActions.${value}`) }))}
              />
            </Form.Item>
            <Form.Item name="jitterSeconds" label={t('form.jitter')} extra={t('form.jitterHelp')}>
              <InputNumber min={0} max={3_600} style={{ width: 160 }} />
            </Form.Item>
          </>
        )}
      </Form>
      {save.error === null ? null : <ProblemAlert error={save.error} />}
    </Drawer>
  )
}
