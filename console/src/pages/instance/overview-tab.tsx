import { useQuery } from '@tanstack/react-query'
import { Alert, Button } from 'antd'
import { useEffect } from 'react'
import { useTranslation } from 'react-i18next'
import { useSearchParams } from 'react-router'
import { api, call } from '../../api/client.ts'
import { useRole } from '../../api/session.ts'
import { Copyable, CopyButton } from '../../components/copyable.tsx'
import { Facts } from '../../components/facts.tsx'
import { useServerText } from '../../components/server-text.ts'
import { Time } from '../../components/time.tsx'
import { useProbe, useProbeError } from '../instances/probe-state.tsx'
import type { Instance } from '../instances/queries.ts'

/** Where the server is, how it answered last, and how a client reaches it through the gateway. */
export function OverviewTab({ instance }: { instance: Instance }) {
  const { t } = useTranslation('instances')
  const headers = Object.keys(instance.headers)
  const passThrough = Object.keys(instance.defaultPassThroughHeaders)
  const names = (list: string[]) => (list.length === 0 ? '–' : <code>{list.join(', ')}</code>)
  return (
    <div className="stack">
      <section className="panel panel-body">
        <Facts
          items={[
            { label: t('columns.url'), value: <Copyable text={instance.url} /> },
            { label: t('form.transport'), value: t(`transports.${instance.transport}`) },
            { label: t('form.access'), value: t(`modes.${instance.accessMode}`) },
            { label: t('form.headers'), value: names(headers) },
            { label: t('form.passThrough'), value: names(passThrough) },
            { label: t('form.forward'), value: t(instance.forwardAuthorization ? 'common:yes' : 'common:no') },
            { label: t('facts.gateway'), value: <Copyable text={instance.gatewayUrl} /> },
            { label: t('facts.changed'), value: <Time at={instance.updatedAt} /> },
          ]}
        />
      </section>
      <ProbePanel instance={instance} />
      <ClientConfig instance={instance} />
    </div>
  )
}

function ProbePanel({ instance }: { instance: Instance }) {
  const { t } = useTranslation('instances')
  const isOperator = useRole('operator')
  const probing = useProbe(instance.id)
  const errorOf = useProbeError()
  const server = useServerText()
  const [search, setSearch] = useSearchParams()
  const probe = instance.lastProbe
  const problem = probe === null ? null : errorOf(probe)
  const { mutate } = probing

  // A server that was just registered is asked at once.
  const isNew = search.has('probe')
  useEffect(() => {
    if (!isNew) return
    setSearch({}, { replace: true })
    mutate()
  }, [isNew, mutate, setSearch])

  return (
    <section className="panel panel-body stack" aria-label={t('probe.title')}>
      <div className="spread">
        <h2 className="section-title">{t('probe.title')}</h2>
        {isOperator ? (
          <Button onClick={() => probing.mutate()} loading={probing.isPending}>
            {t('probe.button')}
          </Button>
        ) : null}
      </div>
      {probe === null ? <p className="muted">{t('probe.neverText')}</p> : null}
      {problem === null ? null : (
        <Alert
          type="error"
          showIcon
          title={problem.title}
          description={
            <>
              <p>{problem.text}</p>
              <p>{problem.hint}</p>
            </>
          }
        />
      )}
      {probe?.ok === true ? (
        <Facts
          items={[
            {
              label: t('probe.server'),
              value: [probe.serverName, probe.serverVersion].filter(Boolean).join(' ') || '–',
            },
            { label: t('probe.protocol'), value: probe.protocolVersion ?? '–' },
            { label: t('tabs.tools'), value: probe.toolCount },
            { label: t('probe.at'), value: <Time at={probe.at} /> },
          ]}
        />
      ) : null}
      {(probing.data?.warnings ?? []).map((warning) => (
        <Alert key={warning} type="warning" showIcon title={server(warning)} />
      ))}
    </section>
  )
}

function ClientConfig({ instance }: { instance: Instance }) {
  const { t } = useTranslation('instances')
  const { data } = useQuery({
    queryKey: ['instances', instance.id, 'client-config'],
    queryFn: () => call(api.GET('/api/v1/instances/{id}/client-config', { params: { path: { id: instance.id } } })),
  })
  if (data === undefined) return null
  const text = JSON.stringify(data, null, 2)
  return (
    <section className="panel panel-body stack" aria-label={t('client.title')}>
      <div className="spread">
        <div>
          <h2 className="section-title">{t('client.title')}</h2>
          <p className="muted">{t('client.text')}</p>
        </div>
        <CopyButton text={text} label={t('common:copy')} />
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard. */}
      <pre className="code-block" tabIndex={0}>
        {text}
      </pre>
    </section>
  )
}
