import { MenuOutlined } from '@ant-design/icons'
import { useQuery } from '@tanstack/react-query'
import { Button, Drawer } from 'antd'
import { Suspense, useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Outlet, ScrollRestoration, useLocation, useNavigation } from 'react-router'
import { meQuery } from '../api/session.ts'
import { Loading } from '../components/loading.tsx'
import { ProblemAlert } from '../components/problem-alert.tsx'
import { Brand } from './brand.tsx'
import { Navigation } from './navigation.tsx'
import { Preferences } from './preferences.tsx'
import './shell.css'
import { SignIn } from './sign-in.tsx'
import { UserMenu } from './user-menu.tsx'

/** The frame of every page; whoever is not signed in sees the sign-in form in its place and comes back to the same address. */
export function Shell() {
  const { data: me, error, isPending, refetch } = useQuery(meQuery)
  if (isPending) return <Loading />
  // Once it is known who it is, a reading that fails takes nothing away: a form that is filled in stays.
  if (me === undefined) {
    return (
      <div className="shell-failed">
        <ProblemAlert error={error} onRetry={() => void refetch()} />
      </div>
    )
  }
  return me === null ? <SignIn /> : <Frame />
}

function Frame() {
  const { t } = useTranslation()
  const [open, setOpen] = useState(false)
  const { pathname } = useLocation()
  const loading = useNavigation().state === 'loading'

  // biome-ignore lint/correctness/useExhaustiveDependencies: another page closes the menu.
  useEffect(() => setOpen(false), [pathname])

  return (
    <div className="shell">
      <a className="shell-skip" href="#content">
        {t('shell.skip')}
      </a>
      <aside className="shell-side">
        <Brand />
        <Navigation />
        <div className="shell-foot">
          <Preferences />
          <UserMenu />
        </div>
      </aside>
      <header className="shell-top">
        <Button
          type="text"
          icon={<MenuOutlined />}
          aria-label={t('shell.menu')}
          aria-expanded={open}
          onClick={() => setOpen(true)}
        />
        <Brand />
        <UserMenu compact />
      </header>
      <Drawer
        open={open}
        onClose={() => setOpen(false)}
        placement="left"
        size={264}
        title={<Brand />}
        styles={{ body: { padding: 0 } }}
      >
        <Navigation />
        <div className="shell-foot">
          <Preferences />
        </div>
      </Drawer>
      <main id="content" className="shell-main" tabIndex={-1} aria-busy={loading}>
        <div className={loading ? 'shell-progress shell-progress-on' : 'shell-progress'} />
        <Suspense fallback={<Loading />}>
          <Outlet />
        </Suspense>
      </main>
      <ScrollRestoration />
    </div>
  )
}
