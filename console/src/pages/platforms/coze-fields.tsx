import { Form, Input, Radio } from 'antd'
import { useTranslation } from 'react-i18next'
import { CookieField } from './cookie-field.tsx'
import { GatewayField, NameField, RotationField, WEB_ADDRESS } from './form-parts.tsx'

export type CozeValues = {
  name: string
  baseUrl: string
  accountType: 'team' | 'personal'
  enterpriseId?: string
  userId?: string
  cookie?: string
  gatewayUrl?: string
  rotateAfterDays?: number | null
}

export const COZE_DEFAULTS: Partial<CozeValues> = { accountType: 'team', baseUrl: 'https://www.coze.cn' }

/** The fields of a COZE account. An existing one keeps its kind of account, and its cookie has a form of its own. */
export function CozeFields({ isNew = true }: { isNew?: boolean }) {
  const { t } = useTranslation('platforms')
  const accountType = Form.useWatch<CozeValues['accountType']>('accountType')
  return (
    <>
      <NameField example={t('form.cozeExample')} />
      {isNew ? (
        <Form.Item name="accountType" label={t('form.accountType')} extra={t('form.accountHelp')}>
          <Radio.Group
            optionType="button"
            options={(['team', 'personal'] as const).map((value) => ({ value, label: t(`accounts.${value}`) }))}
          />
        </Form.Item>
      ) : (
        <Form.Item name="accountType" hidden>
          <Input />
        </Form.Item>
      )}
      {accountType === 'personal' ? (
        <Form.Item
          name="userId"
          label={`${t('form.userId')} (${t('common:optional')})`}
          extra={t('form.userIdHelp')}
          rules={[{ pattern: /^\d{1,32}$/, message: t('form.userIdWrong') }]}
        >
          <Input inputMode="numeric" />
        </Form.Item>
      ) : (
        <Form.Item
          name="enterpriseId"
          label={t('form.enterpriseId')}
          extra={t('form.enterpriseHelp')}
          rules={[
            { required: true, whitespace: true, message: t('form.required', { what: t('form.enterpriseId') }) },
            { pattern: /^[\w-]{1,64}$/, message: t('form.enterpriseWrong') },
          ]}
        >
          <Input placeholder="volcano_2100000000" />
        </Form.Item>
      )}
      {isNew ? <CookieField optional /> : null}
      <Form.Item
        name="baseUrl"
        label={t('form.baseUrl')}
        rules={[{ required: true, pattern: WEB_ADDRESS, message: t('form.urlWrong') }]}
      >
        <Input inputMode="url" />
      </Form.Item>
      <GatewayField help={t('form.cozeGatewayHelp')} />
      <RotationField />
    </>
  )
}
