import { LogTable } from './log-table.tsx'

/** The gateway's journal of one instance. */
export function InstanceLog({ instanceId }: { instanceId: string }) {
  return (
    <div className="stack">
      <LogTable instanceId={instanceId} />
    </div>
  )
}
