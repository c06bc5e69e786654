import { useQuery } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import { Link } from 'react-router'
import { api, call, type Schemas } from '../../api/client.ts'
import { ProblemAlert } from '../../components/problem-alert.tsx'
import { StateTag } from '../../components/state-tag.tsx'
import { Time } from '../../components/time.tsx'

type Sync = Schemas['Sync']

const RECENT = 6

/** Runs that are going on, then the latest that ended. */
export function Runs({ open }: { open: Sync[] }) {
  const { t } = useTranslation('overview')
  // How many are open is part of the key: whenever one begins or ends, the list is read again.
  const { data, error, refetch } = useQuery({
    queryKey: ['syncs', { limit: RECENT, open: open.map(({ id }) => id) }],
    queryFn: () => call(api.GET('/api/v1/syncs', { params: { query: { limit: RECENT } } })),
  })
  const openIds = new Set(open.map(({ id }) => id))
  const ended = (data?.items ?? []).filter(({ id }) => !openIds.has(id))
  const runs = [...open.toReversed(), ...ended].slice(0, Math.max(RECENT, open.length))
  return (
    <section className="panel runs" aria-label={t('runs.title')}>
      <div className="spread">
        <h2>{t('runs.title')}</h2>
        <Link to="/syncs">{t('runs.all')}</Link>
      </div>
      {error === null ? null : <ProblemAlert error={error} onRetry={() => void refetch()} />}
      {data !== undefined && runs.length === 0 ? <p className="muted">{t('runs.none')}</p> : null}
      <ul>
        {runs.map((run) => (
          <li key={run.id}>
            <Link to={`/syncs/${run.id}`} className="run-name clip">
              {run.name}
            </Link>
            <span>
              <StateTag state={run.state} />
            </span>
            <span className="muted num">{t('runs.targets', { done: doneOf(run), total: run.counts.total })}</span>
            <Time at={run.finishedAt ?? run.startedAt ?? run.createdAt} />
          </li>
        ))}
      </ul>
    </section>
  )
}

function doneOf({ counts }: Sync): number {
  return counts.total - counts.pending - counts.running
}
