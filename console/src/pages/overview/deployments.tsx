import { useTranslation } from 'react-i18next'
import { Link } from 'react-router'
import type { Schemas } from '../../api/client.ts'
import { StateTag } from '../../components/state-tag.tsx'

const STATES = ['in_sync', 'drifted', 'conflict', 'failed', 'pending', 'absent', 'removed'] as const

/** All deployments by state, as one bar and in numbers. */
export function Deployments({ counts }: { counts: Schemas['Overview']['deployments'] }) {
  const { t } = useTranslation('overview')
  const shown = STATES.filter((state) => counts[state] > 0)
  return (
    <section className="panel panel-body deployments" aria-label={t('deployments.title')}>
      <div className="spread">
        <h2>{t('deployments.title')}</h2>
        <span className="muted num">{t('deployments.total', { count: counts.total })}</span>
      </div>
      <div className="bar" aria-hidden="true">
        {shown.map((state) => (
          <span key={state} className={`bar-${state}`} style={{ flexGrow: counts[state] }} />
        ))}
      </div>
      <ul>
        {shown.map((state) => (
          <li key={state}>
            <Link to={`/access?state=${state}`}>
              <StateTag state={state} /> <span className="num">{counts[state]}</span>
            </Link>
          </li>
        ))}
      </ul>
    </section>
  )
}
