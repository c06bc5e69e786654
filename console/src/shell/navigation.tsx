import { useQuery } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import { NavLink } from 'react-router'
import { meQuery, type Role } from '../api/session.ts'
import { NAV } from './nav-items.tsx'

const RANK: Record<Role, number> = { viewer: 0, operator: 1, admin: 2 }

/** Links to every page that the role may open. */
export function Navigation() {
  const { t } = useTranslation()
  const { data: me } = useQuery(meQuery)
  const rank = me == null ? -1 : RANK[me.role]
  return (
    <nav className="nav" aria-label={t('shell.navigation')}>
      {NAV.map(({ group, items }) => {
        const shown = items.filter((item) => item.needs === undefined || RANK[item.needs] <= rank)
        if (shown.length === 0) return null
        return (
          <div key={group ?? 'top'} className="nav-group">
            {group === null ? null : <div className="nav-title">{t(`navGroups.${group}`)}</div>}
            {shown.map(({ to, label, icon }) => (
              <NavLink key={to} to={to} end={to === '/'} className="nav-link">
                <span className="nav-icon" aria-hidden="true">
                  {icon}
                </span>
                {t(`nav.${label}`)}
              </NavLink>
            ))}
          </div>
        )
      })}
    </nav>
  )
}
