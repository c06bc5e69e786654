import { CheckCircleFilled, CloseCircleFilled, InfoCircleOutlined } from '@ant-design/icons'
import { useTranslation } from 'react-i18next'
import { useServerText } from '../../components/server-text.ts'
import type { PlatformCheck } from './queries.ts'

/** What a check of a platform found: each step, then what to know or to do. */
export function CheckResult({ check }: { check: PlatformCheck }) {
  const { t } = useTranslation('platforms')
  const server = useServerText()
  return (
    <section className={check.ok ? 'check check-ok' : 'check check-failed'} aria-label={t('check.title')} role="status">
      <h3>{check.ok ? t('check.ok', { version: server(check.version ?? '') }) : t('check.failed')}</h3>
      <ul>
        {check.findings.map(({ name, ok, detail }) => (
          <li key={name} data-finding={name} data-ok={ok}>
            {ok ? <CheckCircleFilled className="check-good" /> : <CloseCircleFilled className="check-bad" />}
            <span className="check-name">{t(`check.findings.${name}`, { defaultValue: name })}</span>
            <span>{server(detail)}</span>
          </li>
        ))}
        {check.hints.map((hint) => (
          <li key={hint}>
            <InfoCircleOutlined className="check-hint" />
            <span className="check-wide">{server(hint)}</span>
          </li>
        ))}
      </ul>
    </section>
  )
}
