import { useQuery } from '@tanstack/react-query'
import { Alert, Button } from 'antd'
import { useTranslation } from 'react-i18next'
import { api, call } from '../../api/client.ts'
import { Loading } from '../../components/loading.tsx'
import { ProblemAlert } from '../../components/problem-alert.tsx'
import { useServerText } from '../../components/server-text.ts'

const SEVERITY = { ours: 'success', other: 'error', unreachable: 'warning' } as const

/** What the server finds when it calls the gateway's address itself, and whether COZE takes such an address. Hints. */
export function GatewayCheck() {
  const { t } = useTranslation('settings')
  const say = useServerText()
  const check = useQuery({
    queryKey: ['gateway-check'],
    queryFn: () => call(api.GET('/api/v1/settings/gateway-check')),
    refetchOnWindowFocus: false,
  })
  if (check.isLoading) return <Loading />
  if (check.error !== null) return <ProblemAlert error={check.error} onRetry={() => void check.refetch()} />
  if (check.data === undefined) return null
  const { url, verdict, detail, coze } = check.data
  const help = t(`gateway.verdictHelp.${verdict}`)
  const again = (
    <Button size="small" loading={check.isFetching} onClick={() => void check.refetch()}>
      {t('gateway.again')}
    </Button>
  )
  return (
    <>
      <Alert
        type={SEVERITY[verdict]}
        showIcon
        title={t(`gateway.verdicts.${verdict}`)}
        description={detail === null ? help : `${say(detail)} ${help}`}
        action={again}
      />
      {isLoopback(url) ? (
        <Alert type="warning" showIcon title={t('gateway.loopback')} description={t('gateway.loopbackHelp')} />
      ) : coze.ok ? (
        <Alert type="info" showIcon title={t('gateway.coze')} description={t('gateway.cozeHelp')} />
      ) : (
        <Alert type="info" showIcon title={t('gateway.notCoze')} description={say(coze.detail ?? '')} />
      )}
    </>
  )
}

function isLoopback(url: string): boolean {
  const { hostname } = new URL(url)
  return hostname === 'localhost' || hostname.startsWith('127.') || hostname === '[::1]'
}
