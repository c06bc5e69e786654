import { QueryClientProvider } from '@tanstack/react-query'
import { App as AntApp, ConfigProvider } from 'antd'
import { RouterProvider } from 'react-router/dom'
import { queryClient } from './api/query-client.ts'
import { useAntLocale } from './i18n/ant-locale.ts'
import { router } from './router.tsx'
import { antTheme } from './theme/ant-theme.ts'
import { useColorScheme } from './theme/color-scheme.ts'
import { useMotion } from './theme/motion.ts'
import { pageNonce } from './theme/style-nonce.ts'

export function App() {
  const scheme = useColorScheme()
  const motion = useMotion()
  const locale = useAntLocale()
  return (
    <ConfigProvider
      theme={antTheme(scheme, motion)}
      csp={{ nonce: pageNonce() }}
      button={{ autoInsertSpace: false }}
      wave={{ disabled: !motion }}
      {...(locale === null ? {} : { locale })}
    >
      <AntApp message={{ maxCount: 3 }}>
        <QueryClientProvider client={queryClient}>
          <RouterProvider router={router} />
        </QueryClientProvider>
      </AntApp>
    </ConfigProvider>
  )
}
