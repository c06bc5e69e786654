import { Collapse, Form, InputNumber, Switch } from 'antd'
import { useTranslation } from 'react-i18next'
import type { Schemas } from '../../api/client.ts'

export type Limits = Schemas['GatewayLimits']

const TIMES = [
  ['connectTimeoutMs', 120],
  ['headersTimeoutMs', 3_600],
  ['idleTimeoutMs', 86_400],
] as const
const RATES = ['requestsPerSecond', 'maxOpenRequests'] as const

/** What the gateway allows callers of a server; an empty field is its default. Times are entered in seconds. */
export function LimitsFields() {
  const { t } = useTranslation('instances')
  return (
    <Collapse
      size="small"
      items={[
        {
          key: 'limits',
          label: t('limits.title'),
          // Values of fields that were never shown would be lost: the API replaces all of them.
          forceRender: true,
          children: (
            <>
              {TIMES.map(([name, max]) => (
                <Form.Item
                  key={name}
                  name={['limits', name]}
                  label={t(`limits.${name}`)}
                  extra={t(`limits.${name}Help`)}
                  getValueProps={(ms: number | null | undefined) => ({ value: ms == null ? null : ms / 1000 })}
                  normalize={(seconds: number | null) => (seconds === null ? null : Math.round(seconds * 1000))}
                >
                  <InputNumber min={0.1} max={max} step={1} style={{ width: 160 }} />
                </Form.Item>
              ))}
              {RATES.map((name) => (
                <Form.Item
                  key={name}
                  name={['limits', name]}
                  label={t(`limits.${name}`)}
                  extra={t(`limits.${name}Help`)}
                >
                  <InputNumber min={1} max={100_000} precision={0} style={{ width: 160 }} />
                </Form.Item>
              ))}
              <Form.Item
                name={['limits', 'tokenInQuery']}
                label={t('limits.tokenInQuery')}
                extra={t('limits.tokenInQueryHelp')}
                valuePropName="checked"
              >
                <Switch />
              </Form.Item>
            </>
          ),
        },
      ]}
    />
  )
}
