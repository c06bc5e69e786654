import { Collapse, Form, Input } from 'antd'
import { useTranslation } from 'react-i18next'
import { Time } from '../../components/time.tsx'
import { cookieEnd } from './cookie-end.ts'

const STEPS = ['signIn', 'tools', 'reload', 'copy', 'paste'] as const

/** Where a COZE cookie goes, with the way to find it, and until when it is good, read from the cookie itself. */
export function CookieField({ optional = false }: { optional?: boolean }) {
  const { t } = useTranslation('platforms')
  const cookie = Form.useWatch<string | undefined>('cookie')
  const end = cookieEnd(cookie ?? '')
  return (
    <>
      <Form.Item
        name="cookie"
        label={optional ? `${t('cookie.label')} (${t('common:optional')})` : t('cookie.label')}
        extra={
          end === null ? (
            t(optional ? 'cookie.later' : 'cookie.help')
          ) : (
            <>
              {t('credential.ends')} <Time at={end.toISOString()} absolute />
            </>
          )
        }
        rules={optional ? [] : [{ required: true, whitespace: true, message: t('cookie.required') }]}
      >
        <Input.TextArea
          rows={3}
          autoComplete="off"
          spellCheck={false}
          className="code cookie-input"
          placeholder="sessionid=…; sid_guard=…"
        />
      </Form.Item>
      <Collapse
        size="small"
        className="cookie-help"
        items={[
          {
            key: 'help',
            label: t('cookie.where'),
            children: (
              <ol>
                {STEPS.map((step) => (
                  <li key={step}>{t(`cookie.steps.${step}`)}</li>
                ))}
              </ol>
            ),
          },
        ]}
      />
    </>
  )
}
