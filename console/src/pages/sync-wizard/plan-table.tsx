import { Button, Table } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { Schemas } from '../../api/client.ts'
import { type FieldChange, FieldChanges } from '../../components/field-changes.tsx'
import { useRecordedError } from '../../components/recorded-error.ts'
import { useServerText } from '../../components/server-text.ts'
import { StateTag } from '../../components/state-tag.tsx'
import { Wide } from '../../components/wide.tsx'

type Target = Schemas['SyncTarget']

/** In the order in which they matter to whoever decides. */
const ACTIONS = ['conflict', 'failed', 'remove', 'create', 'update', 'skip', 'unchanged'] as const
type Action = (typeof ACTIONS)[number]

/** A target that failed in planning has no action; it is shown as what it is. */
export function actionOf(target: Target): Action {
  return ACTIONS.find((action) => action === target.action) ?? 'failed'
}

export function countByAction(targets: Target[]): Partial<Record<Action, number>> {
  const counts: Partial<Record<Action, number>> = {}
  for (const target of targets) counts[actionOf(target)] = (counts[actionOf(target)] ?? 0) + 1
  return counts
}

/** What would happen to every target, the ones that need a look first, field by field when opened. */
export function PlanTable({ targets }: { targets: Target[] }) {
  const { t } = useTranslation('sync-wizard')
  const say = useServerText()
  const recorded = useRecordedError()
  const counts = countByAction(targets)
  const [only, setOnly] = useState<Action | null>(null)
  const shown = targets
    .filter((target) => only === null || actionOf(target) === only)
    .toSorted((a, b) => ACTIONS.indexOf(actionOf(a)) - ACTIONS.indexOf(actionOf(b)))
  return (
    <>
      <div className="plan-counts">
        {ACTIONS.filter((action) => counts[action] !== undefined).map((action) => (
          <Button
            key={action}
            size="small"
            type={only === action ? 'primary' : 'default'}
            aria-pressed={only === action}
            data-action={action}
            onClick={() => setOnly(only === action ? null : action)}
          >
            {t(`actions.${action}`)} · {counts[action]}
          </Button>
        ))}
      </div>
      <Wide label={t('steps.plan')} min={640}>
        <Table<Target>
          rowKey="id"
          size="small"
          dataSource={shown}
          pagination={shown.length > 50 ? { pageSize: 50, showSizeChanger: false } : false}
          expandable={{
            rowExpandable: (target) => changesOf(target).length > 0,
            expandedRowRender: (target) => <FieldChanges changes={changesOf(target)} />,
          }}
          columns={[
            { title: t('plan.server'), render: (_, target) => target.instanceName ?? target.instanceId },
            { title: t('plan.space'), render: (_, target) => target.spaceName ?? target.spaceId },
            {
              title: t('plan.action'),
              render: (_, target) => {
                const action = actionOf(target)
                if (action === 'conflict' || action === 'failed' || action === 'unchanged')
                  return <StateTag state={action} />
                return t(`actions.${action}`)
              },
            },
            {
              title: t('plan.why'),
              render: (_, target) => (
                <>
                  {changesOf(target).length === 0 ? null : (
                    <div>{t('plan.fields', { count: changesOf(target).length })}</div>
                  )}
                  {target.note === null ? null : <div className="muted">{say(target.note)}</div>}
                  {target.error === null ? null : (
                    <div>
                      {recorded(target.error).message} <span className="muted">{recorded(target.error).hint}</span>
                    </div>
                  )}
                </>
              ),
            },
          ]}
        />
      </Wide>
    </>
  )
}

function changesOf(target: Target): FieldChange[] {
  return (target.changes ?? []) as FieldChange[]
}
