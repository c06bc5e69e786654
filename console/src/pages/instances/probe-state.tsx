import { useMutation, useQueryClient } from '@tanstack/react-query'
import { Button, Tooltip } from 'antd'
import { useTranslation } from 'react-i18next'
import { api, call } from '../../api/client.ts'
import { useRole } from '../../api/session.ts'
import { useProblemToast } from '../../components/problem-text.ts'
import { problemCode } from '../../components/recorded-error.ts'
import { useServerText } from '../../components/server-text.ts'
import { Time } from '../../components/time.tsx'
import type { Instance, Probe } from './queries.ts'

/** The last handshake with the server in short, and a button for another one. */
export function ProbeState({ instance }: { instance: Instance }) {
  const { t } = useTranslation('instances')
  const isOperator = useRole('operator')
  const probing = useProbe(instance.id)
  const probe = instance.lastProbe
  return (
    <span className="row probe">
      {probe === null ? <span className="muted">{t('probe.never')}</span> : <Outcome probe={probe} />}
      {isOperator ? (
        <Button
          size="small"
          loading={probing.isPending}
          onClick={() => probing.mutate()}
          aria-label={t('probe.of', { name: instance.name })}
        >
          {t('probe.button')}
        </Button>
      ) : null}
    </span>
  )
}

function Outcome({ probe }: { probe: Probe }) {
  const { t } = useTranslation('instances')
  const error = useProbeError()
  if (probe.ok) {
    return (
      <span data-probe="ok">
        <span className="probe-good">{t('probe.tools', { count: probe.toolCount ?? 0 })}</span>
        <span className="muted">
          {' '}
          <Time at={probe.at} />
        </span>
      </span>
    )
  }
  return (
    <Tooltip title={error(probe)?.text}>
      <span data-probe="failed" className="probe-bad">
        {t('probe.failed')}
      </span>
    </Tooltip>
  )
}

/** Why a probe failed, in the console's language: its title, and the server's own words with it. */
export function useProbeError(): (probe: Probe) => { title: string; text: string; hint: string } | null {
  const { t } = useTranslation('problems')
  const server = useServerText()
  return ({ error }) => {
    if (error === null) return null
    const code = problemCode(error.type)
    return { title: t(`${code}.title`), text: server(error.message), hint: t(`${code}.hint`) }
  }
}

/** A real MCP handshake with all tools; both are kept and shown everywhere. */
export function useProbe(id: string) {
  const queries = useQueryClient()
  const toast = useProblemToast()
  return useMutation({
    mutationFn: () => call(api.POST('/api/v1/instances/{id}/probe', { params: { path: { id } } })),
    onError: toast,
    onSettled: () => queries.invalidateQueries({ queryKey: ['instances'] }),
  })
}
