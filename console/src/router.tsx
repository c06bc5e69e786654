import { createBrowserRouter, type RouteObject } from 'react-router'
import { loadTexts } from './i18n/i18n.ts'
import { PageFailed } from './shell/page-failed.tsx'
import { Shell } from './shell/shell.tsx'

type PageModule = { Page: React.ComponentType }

/** A page with its texts, both loaded when it is first opened. `texts` are files of i18n/. */
function page(path: string, texts: string[], load: () => Promise<PageModule>): RouteObject {
  return {
    path,
    errorElement: <PageFailed />,
    lazy: async () => {
      const [module] = await Promise.all([load(), loadTexts(texts)])
      return { Component: module.Page }
    },
  }
}

export const router: ReturnType<typeof createBrowserRouter> = createBrowserRouter([
  {
    element: <Shell />,
    errorElement: <PageFailed />,
    // Until the first page is there; the shell of the next one stays.
    HydrateFallback: () => null,
    children: [
      page('/', ['overview'], () => import('./pages/overview/index.tsx')),
      page('/platforms', ['platforms', 'tokens'], () => import('./pages/platforms/index.tsx')),
      page('/platforms/:platformId', ['platforms', 'tokens'], () => import('./pages/platforms/index.tsx')),
      page('/instances', ['instances'], () => import('./pages/instances/index.tsx')),
      page(
        '/instances/:instanceId/:tab?',
        ['instances', 'access', 'client-tokens', 'tokens', 'gateway-log'],
        () => import('./pages/instance/index.tsx'),
      ),
      page('/syncs', ['syncs'], () => import('./pages/syncs/index.tsx')),
      page('/syncs/new', ['sync-wizard', 'platforms'], () => import('./pages/sync-wizard/index.tsx')),
      page('/syncs/:syncId', ['sync-run', 'platforms', 'tokens'], () => import('./pages/sync-run/index.tsx')),
      page('/access', ['access', 'tokens'], () => import('./pages/access/index.tsx')),
      page('/profiles', ['profiles'], () => import('./pages/profiles/index.tsx')),
      page('/profiles/:profileId', ['profiles'], () => import('./pages/profiles/index.tsx')),
      page('/drift', ['drift', 'tokens'], () => import('./pages/drift/index.tsx')),
      page('/gateway-log', ['gateway-log'], () => import('./pages/gateway-log/index.tsx')),
      page('/audit', ['audit'], () => import('./pages/audit/index.tsx')),
      page('/api-keys', ['api-keys'], () => import('./pages/api-keys/index.tsx')),
      page('/webhooks', ['webhooks'], () => import('./pages/webhooks/index.tsx')),
      page('/settings', ['settings'], () => import('./pages/settings/index.tsx')),
      page('*', [], () => import('./pages/not-found/index.tsx')),
    ],
  },
])
