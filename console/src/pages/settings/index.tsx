import { useQuery } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import { api, call } from '../../api/client.ts'
import { Copyable } from '../../components/copyable.tsx'
import { Facts } from '../../components/facts.tsx'
import { Loading } from '../../components/loading.tsx'
import { Page as Frame } from '../../components/page.tsx'
import { ProblemAlert } from '../../components/problem-alert.tsx'
import { useServerText } from '../../components/server-text.ts'
import { StateMark } from '../../components/state-tag.tsx'
import { GatewayCheck } from './gateway-check.tsx'

/** How this installation is set up, and whether platforms can reach its gateway. What is set by the environment is shown, not edited. */
export function Page() {
  const { t } = useTranslation('settings')
  const say = useServerText()
  const settings = useQuery({ queryKey: ['settings'], queryFn: () => call(api.GET('/api/v1/settings')) })
  const ready = useQuery({
    queryKey: ['readyz'],
    // Not ready answers 503 with the same body.
    queryFn: async () => {
      const { data, error } = await api.GET('/readyz')
      return data ?? (error as unknown as typeof data) ?? null
    },
    refetchInterval: 10_000,
  })
  return (
    <Frame title={t('title')} lead={t('lead')}>
      {settings.isLoading ? <Loading /> : null}
      {settings.error === null ? null : <ProblemAlert error={settings.error} onRetry={() => void settings.refetch()} />}
      {settings.data === undefined ? null : (
        <>
          <section className="panel panel-body stack">
            <h2>{t('gateway.title')}</h2>
            <Facts
              items={[
                { label: t('gateway.publicUrl'), value: <Copyable text={settings.data.publicUrl} /> },
                { label: t('gateway.ownUrl'), value: <Copyable text={settings.data.gatewayUrl} /> },
              ]}
            />
            <GatewayCheck />
          </section>
          <section className="panel panel-body stack">
            <h2>{t('installation.title')}</h2>
            <Facts
              items={[
                { label: t('installation.version'), value: settings.data.version },
                { label: t('installation.store'), value: t(`installation.stores.${settings.data.storeEngine}`) },
                {
                  label: t('installation.retention'),
                  value: t('installation.retentionOf', {
                    syncs: settings.data.retention.syncDays,
                    journal: settings.data.retention.journalDays,
                    audit: settings.data.retention.auditDays,
                  }),
                },
                { label: t('installation.temporal'), value: <code>{settings.data.temporal.address}</code> },
                { label: t('installation.namespace'), value: <code>{settings.data.temporal.namespace}</code> },
                {
                  label: t('installation.webUi'),
                  value:
                    settings.data.temporal.uiUrl === null ? (
                      '–'
                    ) : (
                      <a href={settings.data.temporal.uiUrl} target="_blank" rel="noreferrer">
                        {settings.data.temporal.uiUrl}
                      </a>
                    ),
                },
                {
                  label: t('installation.reference'),
                  value: (
                    <a href="/docs" target="_blank" rel="noreferrer">
                      {t('installation.openReference')}
                    </a>
                  ),
                },
              ]}
            />
          </section>
        </>
      )}
      {ready.data == null ? null : (
        <section className="panel panel-body stack">
          <h2>{t('parts.title')}</h2>
          <Facts
            items={ready.data.parts.map(({ name, ready: isReady, detail }) => ({
              label: t(`parts.names.${name}`, { defaultValue: name }),
              value: (
                <>
                  <StateMark state={isReady ? 'enabled' : 'failed'} text={t(isReady ? 'parts.works' : 'parts.fails')} />{' '}
                  {detail === null ? null : say(detail)}
                </>
              ),
            }))}
          />
        </section>
      )}
    </Frame>
  )
}
