import { useQuery } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import { Link } from 'react-router'
import { api, call, type Schemas } from '../../api/client.ts'
import { Loading } from '../../components/loading.tsx'
import { Page as Frame } from '../../components/page.tsx'
import { ProblemAlert } from '../../components/problem-alert.tsx'
import { Attention } from './attention.tsx'
import { Deployments } from './deployments.tsx'
import { FirstSteps } from './first-steps.tsx'
import { Runs } from './runs.tsx'
import './overview.css'

const RENEW_MS = 5_000

/** How everything is, and what to do next. Renews itself. */
export function Page() {
  const { t } = useTranslation('overview')
  const { data, error, refetch } = useQuery({
    queryKey: ['overview'],
    queryFn: () => call(api.GET('/api/v1/overview')),
    refetchInterval: RENEW_MS,
  })
  return (
    <Frame title={t('title')}>
      {error === null ? null : <ProblemAlert error={error} onRetry={() => void refetch()} />}
      {data === undefined && error === null ? <Loading /> : null}
      {data === undefined ? null : <Content overview={data} />}
    </Frame>
  )
}

function Content({ overview }: { overview: Schemas['Overview'] }) {
  const isNew = overview.platforms === 0 || overview.instances === 0 || overview.bindings === 0
  return (
    <>
      {isNew ? <FirstSteps overview={overview} /> : null}
      <Attention items={overview.attention} />
      <Counts overview={overview} />
      {overview.deployments.total > 0 ? <Deployments counts={overview.deployments} /> : null}
      {isNew && overview.runs.length === 0 ? null : <Runs open={overview.runs} />}
    </>
  )
}

function Counts({ overview }: { overview: Schemas['Overview'] }) {
  const { t } = useTranslation('overview')
  const counts = [
    { key: 'platforms', count: overview.platforms, to: '/platforms' },
    { key: 'spaces', count: overview.spaces, to: '/platforms' },
    { key: 'instances', count: overview.instances, to: '/instances' },
    { key: 'bindings', count: overview.bindings, to: '/access' },
  ]
  return (
    <ul className="panel counts">
      {counts.map(({ key, count, to }) => (
        <li key={key}>
          <Link to={to}>
            <span className="count-number num">{count}</span>
            <span className="count-label">{t(`counts.${key}`)}</span>
          </Link>
        </li>
      ))}
    </ul>
  )
}
