import type { ReactNode } from 'react'
import './empty-state.css'

/** Nothing is here yet: says what belongs here and what to do first. */
export function EmptyState({ title, text, actions }: { title: string; text: ReactNode; actions?: ReactNode }) {
  return (
    <div className="empty-state">
      <h2>{title}</h2>
      <p>{text}</p>
      {actions === undefined ? null : <div className="row">{actions}</div>}
    </div>
  )
}
