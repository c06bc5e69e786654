import { CheckOutlined } from '@ant-design/icons'
import { Button } from 'antd'
import { useTranslation } from 'react-i18next'
import { Link } from 'react-router'
import type { Schemas } from '../../api/client.ts'

/** The way of a newcomer, until the first sync is made. */
export function FirstSteps({ overview }: { overview: Schemas['Overview'] }) {
  const { t } = useTranslation('overview')
  const steps = [
    { key: 'platform', done: overview.platforms > 0, to: '/platforms' },
    { key: 'instance', done: overview.instances > 0, to: '/instances' },
    { key: 'sync', done: overview.bindings > 0, to: '/instances' },
  ]
  const next = steps.find(({ done }) => !done)?.key
  return (
    <section className="panel panel-body first-steps" aria-label={t('steps.title')}>
      <h2>{t('steps.title')}</h2>
      <ol>
        {steps.map(({ key, done, to }, index) => (
          <li key={key} className={done ? 'step step-done' : 'step'} aria-current={key === next ? 'step' : undefined}>
            <span className="step-number" aria-hidden="true">
              {done ? <CheckOutlined /> : index + 1}
            </span>
            <span className="step-text">
              <strong>{t(`steps.${key}.title`)}</strong>
              <span className="muted">{t(`steps.${key}.text`)}</span>
            </span>
            {key === next ? (
              <Link to={to}>
                <Button type="primary" tabIndex={-1}>
                  {t(`steps.${key}.do`)}
                </Button>
              </Link>
            ) : null}
            {done ? <span className="unseen">{t('steps.done')}</span> : null}
          </li>
        ))}
      </ol>
    </section>
  )
}
