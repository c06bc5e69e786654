import { useQuery } from '@tanstack/react-query'
import { Alert, Button } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link } from 'react-router'
import { api, call } from '../../api/client.ts'
import { useRole } from '../../api/session.ts'
import { Facts } from '../../components/facts.tsx'
import { type FieldChange, FieldChanges } from '../../components/field-changes.tsx'
import { Drawer } from '../../components/overlays.tsx'
import { PlatformObject } from '../../components/platform-object.tsx'
import { useRecordedError } from '../../components/recorded-error.ts'
import { useServerText } from '../../components/server-text.ts'
import { StateTag } from '../../components/state-tag.tsx'
import { Time } from '../../components/time.tsx'
import { AdoptDialog } from '../access/adopt-dialog.tsx'
import { Duration } from './duration.tsx'
import type { Run, Target } from './use-run.ts'

type Props = { target: Target; run: Run; onClose: () => void }

/** One cell: what was planned, what happened, why, and where its object is. */
export function CellDrawer({ target, run, onClose }: Props) {
  const { t } = useTranslation('sync-run')
  const say = useServerText()
  const recorded = useRecordedError()
  const { bindingId } = target
  const mayChange = useRole('operator')
  const [isAdopting, setAdopting] = useState(false)
  const binding = useQuery({
    queryKey: ['bindings', bindingId],
    queryFn: () => call(api.GET('/api/v1/bindings/{id}', { params: { path: { id: bindingId ?? '' } } })),
    enabled: bindingId !== null,
  })
  const changes = (target.changes ?? []) as FieldChange[]
  return (
    <Drawer open size={520} title={`${target.instanceName ?? ''} · ${target.spaceName ?? ''}`} onClose={onClose}>
      <div className="stack">
        <div>
          <StateTag state={target.state} />
        </div>
        {target.error === null ? null : (
          <Alert
            type={target.state === 'conflict' ? 'warning' : 'error'}
            showIcon
            title={recorded(target.error).message}
            description={recorded(target.error).hint ?? undefined}
          />
        )}
        {target.state === 'conflict' && bindingId !== null && mayChange ? (
          <div>
            <Button onClick={() => setAdopting(true)}>{t('tokens:adopt.button')}</Button>
          </div>
        ) : null}
        {isAdopting && bindingId !== null ? (
          <AdoptDialog
            bindingId={bindingId}
            name={`${target.instanceName ?? ''} · ${target.spaceName ?? ''}`}
            onClose={() => setAdopting(false)}
          />
        ) : null}
        {target.note === null ? null : <p>{say(target.note)}</p>}
        <Facts
          items={[
            { label: t('drawer.action'), value: target.action === null ? '–' : t(`actions.${target.action}`) },
            { label: t('drawer.attempts'), value: target.attempts },
            {
              label: t('drawer.took'),
              value: <Duration from={target.startedAt} to={target.finishedAt} running={target.state === 'running'} />,
            },
            { label: t('drawer.ended'), value: <Time at={target.finishedAt} /> },
          ]}
        />
        {changes.length === 0 ? null : <FieldChanges changes={changes} />}
        {binding.data?.deployment.remoteId == null ? null : (
          <div>
            <div className="muted">{t('drawer.object')}</div>
            <PlatformObject
              platformId={run.platformId}
              spaceRemoteId={binding.data.space.remoteId}
              remoteId={binding.data.deployment.remoteId}
            />
          </div>
        )}
        <Link to={`/instances/${target.instanceId}/access`}>{t('drawer.access')}</Link>
      </div>
    </Drawer>
  )
}
