import type { ReactNode } from 'react'
import { Link } from 'react-router'
import './page.css'
import { useTitle } from './title.ts'

type Props = {
  title: string
  /** One line on what this page is for; at most two. */
  lead?: ReactNode
  /** Where this page belongs, above its title. */
  back?: { to: string; label: string }
  /** Beside the title: a state, for instance. */
  mark?: ReactNode
  /** Buttons; the most important one last. */
  actions?: ReactNode
  children: ReactNode
}

/** Every page: its heading, what can be done here, and its content. */
export function Page({ title, lead, back, mark, actions, children }: Props) {
  useTitle(title)
  return (
    <div className="page">
      <header className="page-head">
        <div className="page-heading">
          {back === undefined ? null : (
            <Link to={back.to} className="page-back">
              ← {back.label}
            </Link>
          )}
          <div className="page-title">
            <h1>{title}</h1>
            {mark}
          </div>
          {lead === undefined ? null : <div className="page-lead">{lead}</div>}
        </div>
        {actions === undefined ? null : <div className="page-actions">{actions}</div>}
      </header>
      {children}
    </div>
  )
}
