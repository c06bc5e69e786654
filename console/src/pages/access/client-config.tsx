import { useQuery } from '@tanstack/react-query'
import { Collapse } from 'antd'
import { useTranslation } from 'react-i18next'
import { api, call } from '../../api/client.ts'
import { useRole } from '../../api/session.ts'
import { CopyButton } from '../../components/copyable.tsx'
import { ProblemAlert } from '../../components/problem-alert.tsx'
import { instanceQuery } from '../instances/queries.ts'

/** The `mcpServers` JSON for a client of one's own. */
export function ClientConfig({ instanceId }: { instanceId: string }) {
  const { t } = useTranslation('access')
  const mayMake = useRole('admin')
  const { data: instance } = useQuery(instanceQuery(instanceId))
  const config = useQuery({
    queryKey: ['instances', instanceId, 'client-config'],
    queryFn: () => call(api.GET('/api/v1/instances/{id}/client-config', { params: { path: { id: instanceId } } })),
  })
  // Only where a placeholder stands for one; and only an admin has the button.
  const asksFor = instance?.accessMode === 'anonymous' ? 'noToken' : mayMake ? 'token' : 'tokenOfAdmin'
  const aboutToken = instance === undefined ? null : t(`config.${asksFor}`)
  const text = JSON.stringify(config.data, null, 2)
  return (
    <Collapse
      size="small"
      items={[
        {
          key: 'config',
          label: t('config.title'),
          children: (
            <div className="stack">
              <p className="muted">
                {t('config.lead')} {aboutToken}
              </p>
              {config.error === null ? null : <ProblemAlert error={config.error} />}
              {config.data === undefined ? null : (
                <>
                  <pre className="code" style={{ margin: 0, whiteSpace: 'pre-wrap', overflowWrap: 'anywhere' }}>
                    {text}
                  </pre>
                  <div>
                    <CopyButton text={text} label={t('common:copy')} />
                  </div>
                </>
              )}
            </div>
          ),
        },
      ]}
    />
  )
}
