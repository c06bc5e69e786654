import { useRole } from '../../api/session.ts'
import { AccessTable } from './access-table.tsx'
import { ClientConfig } from './client-config.tsx'
import { ClientTokens } from './client-tokens.tsx'
import { RotateButton } from './rotate-button.tsx'

/** MCP access configuration of one instance: every space's authorization, and how a client of one's own connects. */
export function InstanceAccess({ instanceId, name }: { instanceId: string; name: string }) {
  const mayChange = useRole('operator')
  return (
    <div className="stack">
      {mayChange ? (
        <div className="row" style={{ justifyContent: 'flex-end' }}>
          <RotateButton scope={{ instanceId, name }} />
        </div>
      ) : null}
      <AccessTable filter={{ instanceId }} />
      <ClientTokens instanceId={instanceId} />
      <ClientConfig instanceId={instanceId} />
    </div>
  )
}
