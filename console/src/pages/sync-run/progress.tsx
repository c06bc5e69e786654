import { Button } from 'antd'
import { useTranslation } from 'react-i18next'
import { StateTag } from '../../components/state-tag.tsx'
import './progress.css'
import type { Target } from './use-run.ts'

const STATES: readonly Target['state'][] = [
  'failed',
  'conflict',
  'running',
  'pending',
  'succeeded',
  'unchanged',
  'skipped',
  'cancelled',
]

type Props = {
  targets: Target[]
  /** The state that is filtered by. */
  only: Target['state'] | null
  onOnly: (state: Target['state'] | null) => void
}

/** How far it is: one bar over all targets, and their counts by state, each a filter. */
export function Progress({ targets, only, onOnly }: Props) {
  const { t } = useTranslation('sync-run')
  const counts = Map.groupBy(targets, ({ state }) => state)
  const ended = targets.filter(({ state }) => state !== 'pending' && state !== 'running').length
  const percent = targets.length === 0 ? 0 : Math.floor((ended / targets.length) * 100)
  return (
    <div className="stack" style={{ gap: 10 }}>
      <div
        className="run-bar"
        role="progressbar"
        aria-label={t('progress')}
        aria-valuemin={0}
        aria-valuemax={targets.length}
        aria-valuenow={ended}
        aria-valuetext={t('progressText', { ended, total: targets.length })}
      >
        {STATES.map((state) => (
          <span key={state} className={`run-bar-${state}`} style={{ flexGrow: counts.get(state)?.length ?? 0 }} />
        ))}
      </div>
      <div className="row">
        <span className="num">{t('progressText', { ended, total: targets.length })}</span>
        <span className="muted num">{percent} %</span>
        {STATES.filter((state) => counts.has(state)).map((state) => (
          <Button
            key={state}
            size="small"
            type={only === state ? 'primary' : 'default'}
            ghost={only === state}
            aria-pressed={only === state}
            onClick={() => onOnly(only === state ? null : state)}
          >
            <StateTag state={state} /> {counts.get(state)?.length}
          </Button>
        ))}
      </div>
    </div>
  )
}
