import { useQuery } from '@tanstack/react-query'
import { Form, Input, InputNumber } from 'antd'
import { useTranslation } from 'react-i18next'
import { settingsQuery } from './queries.ts'

/** With its scheme, which Ant Design's own rule for addresses does without. */
export const WEB_ADDRESS = /^https?:\/\/\S+$/i

/** The fields that every platform has. */
export function NameField({ example }: { example: string }) {
  const { t } = useTranslation('platforms')
  return (
    <Form.Item
      name="name"
      label={t('form.name')}
      rules={[{ required: true, whitespace: true, message: t('form.nameRequired') }, { max: 191 }]}
    >
      <Input placeholder={example} maxLength={191} />
    </Form.Item>
  )
}

/** Empty: the installation's public address. */
export function GatewayField({ help }: { help: string }) {
  const { t } = useTranslation('platforms')
  const { data: settings } = useQuery(settingsQuery)
  return (
    <Form.Item
      name="gatewayUrl"
      label={`${t('form.gatewayUrl')} (${t('common:optional')})`}
      extra={help}
      rules={[{ pattern: WEB_ADDRESS, message: t('form.urlWrong') }]}
    >
      <Input placeholder={settings?.publicUrl} inputMode="url" />
    </Form.Item>
  )
}

/** Empty: as the installation says. */
export function RotationField() {
  const { t } = useTranslation('platforms')
  return (
    <Form.Item
      name="rotateAfterDays"
      label={`${t('form.rotateAfterDays')} (${t('common:optional')})`}
      extra={t('form.rotateHelp')}
      rules={[{ type: 'integer', min: 0, max: 36_500, message: t('form.rotateWrong') }]}
    >
      <InputNumber controls={false} style={{ width: '100%' }} />
    </Form.Item>
  )
}
