import { Form, Input, InputNumber, Radio } from 'antd'
import { useTranslation } from 'react-i18next'
import { Select } from '../../components/select.tsx'
import { GatewayField, NameField, RotationField, WEB_ADDRESS } from './form-parts.tsx'

export type DifyValues = {
  name: string
  edition: 'community' | 'enterprise'
  database: {
    engine: 'postgresql' | 'mysql'
    host: string
    port: number
    database: string
    user: string
    password?: string
    tls: 'disable' | 'prefer' | 'require' | 'verify-full'
  }
  consoleUrl?: string
  gatewayUrl?: string
  rotateAfterDays?: number | null
}

export const DIFY_DEFAULTS = {
  edition: 'community',
  database: { engine: 'postgresql', port: 5432, database: 'dify', tls: 'prefer' },
}

const PORTS = { postgresql: 5432, mysql: 3306 }
const TLS = ['disable', 'prefer', 'require', 'verify-full'] as const

/** The fields of a Dify database. `keepsPassword`: an empty password keeps the one there is. */
export function DifyFields({ keepsPassword = false }: { keepsPassword?: boolean }) {
  const { t } = useTranslation('platforms')
  const form = Form.useFormInstance<DifyValues>()
  const required = (what: string) => ({ required: true, whitespace: true, message: t('form.required', { what }) })

  /** The other engine's usual port takes the place of this one's. */
  const engineChanged = (engine: 'postgresql' | 'mysql') => {
    const other = engine === 'mysql' ? 'postgresql' : 'mysql'
    if (form.getFieldValue(['database', 'port']) === PORTS[other])
      form.setFieldValue(['database', 'port'], PORTS[engine])
  }

  return (
    <>
      <NameField example={t('form.difyExample')} />
      <div className="form-grid">
        <Form.Item name="edition" label={t('form.edition')}>
          <Radio.Group
            optionType="button"
            options={(['community', 'enterprise'] as const).map((value) => ({ value, label: t(`editions.${value}`) }))}
          />
        </Form.Item>
        <Form.Item name={['database', 'engine']} label={t('form.engine')}>
          <Radio.Group
            optionType="button"
            onChange={(event) => engineChanged(event.target.value)}
            options={[
              { value: 'postgresql', label: 'PostgreSQL' },
              { value: 'mysql', label: 'MySQL' },
            ]}
          />
        </Form.Item>
      </div>
      <p className="form-note">{t('form.databaseNote')}</p>
      <div className="form-grid form-grid-host">
        <Form.Item name={['database', 'host']} label={t('form.host')} rules={[required(t('form.host'))]}>
          <Input placeholder="10.0.0.5" />
        </Form.Item>
        <Form.Item
          name={['database', 'port']}
          label={t('form.port')}
          rules={[{ required: true, type: 'number', min: 1, max: 65535, message: t('form.portWrong') }]}
        >
          <InputNumber controls={false} style={{ width: '100%' }} />
        </Form.Item>
      </div>
      <div className="form-grid">
        <Form.Item name={['database', 'database']} label={t('form.database')} rules={[required(t('form.database'))]}>
          <Input placeholder="dify" />
        </Form.Item>
        <Form.Item name={['database', 'tls']} label={t('form.tls')}>
          <Select options={TLS.map((value) => ({ value, label: t(`tls.${value}`) }))} />
        </Form.Item>
        <Form.Item name={['database', 'user']} label={t('form.user')} rules={[required(t('form.user'))]}>
          <Input placeholder="toolferry" autoComplete="off" />
        </Form.Item>
        <Form.Item
          name={['database', 'password']}
          label={t('form.password')}
          extra={keepsPassword ? t('form.keepPassword') : undefined}
          rules={keepsPassword ? [] : [{ required: true, message: t('form.required', { what: t('form.password') }) }]}
        >
          <Input.Password autoComplete="new-password" />
        </Form.Item>
      </div>
      <Form.Item
        name="consoleUrl"
        label={`${t('form.consoleUrl')} (${t('common:optional')})`}
        extra={t('form.consoleHelp')}
        rules={[{ pattern: WEB_ADDRESS, message: t('form.urlWrong') }]}
      >
        <Input placeholder="https://dify.example.com" inputMode="url" />
      </Form.Item>
      <GatewayField help={t('form.difyGatewayHelp')} />
      <RotationField />
    </>
  )
}
