import { useTranslation } from 'react-i18next'
import './state-tag.css'

type Tone = 'good' | 'warn' | 'bad' | 'busy' | 'idle'

/** Every state of architecture §1, and how it looks. */
const TONES: Record<string, Tone> = {
  // runs
  queued: 'idle',
  running: 'busy',
  paused: 'warn',
  waiting_for_credential: 'warn',
  planned: 'busy',
  succeeded: 'good',
  partial: 'warn',
  cancelled: 'idle',
  // targets
  pending: 'idle',
  unchanged: 'good',
  skipped: 'idle',
  conflict: 'warn',
  failed: 'bad',
  // deployments
  absent: 'idle',
  in_sync: 'good',
  drifted: 'warn',
  removed: 'idle',
  // credentials
  none: 'warn',
  unknown: 'idle',
  valid: 'good',
  refused: 'bad',
  expired: 'bad',
  // records
  active: 'good',
  inactive: 'idle',
  removing: 'busy',
  enabled: 'good',
  disabled: 'idle',
  retiring: 'warn',
  revoked: 'idle',
  // former tokens
  waiting: 'warn',
  grace: 'idle',
  still_used: 'warn',
  over: 'idle',
}

/** A state as the product's word for it, with a dot of its colour: never by colour alone. */
export function StateTag({ state, title }: { state: string; title?: string }) {
  const { t } = useTranslation()
  return <StateMark state={state} text={t(`states.${state}`, { defaultValue: state })} {...(title ? { title } : {})} />
}

/** The same with its word given, for where hundreds are drawn at once. */
export function StateMark({ state, text, title }: { state: string; text: string; title?: string }) {
  return (
    <span className={`state state-${TONES[state] ?? 'idle'}`} title={title} data-state={state}>
      <span className="state-dot" aria-hidden="true" />
      {text}
    </span>
  )
}
