import { useMutation, useQuery } from '@tanstack/react-query'
import { Alert, Button, Checkbox } from 'antd'
import { useEffect, useRef, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useNavigate } from 'react-router'
import { api, call, type Schemas } from '../../api/client.ts'
import { at, loadAll } from '../../api/lists.ts'
import { toProblem } from '../../api/problem.ts'
import { useSendOnce } from '../../api/sent-once.ts'
import { Loading } from '../../components/loading.tsx'
import { ProblemAlert } from '../../components/problem-alert.tsx'
import { useRecordedError } from '../../components/recorded-error.ts'
import { Select } from '../../components/select.tsx'
import { useServerText } from '../../components/server-text.ts'
import { type Choices, cellErrors, syncInput, type WritePolicy } from './choices.ts'
import { Foot } from './foot.tsx'
import { countByAction, PlanTable } from './plan-table.tsx'
import { chosenSpaces, useSpaces } from './use-spaces.ts'

const OPEN = new Set(['queued', 'running', 'paused', 'waiting_for_credential'])
const POLICIES: readonly WritePolicy[] = ['upsert-only', 'create-only', 'mirror']

type Props = {
  choices: Choices
  onChange: (choices: Choices) => void
  onBack: () => void
  onRefusedCells: (refused: Record<string, string>) => void
}

/** Asks for a dry run with exactly what was chosen, shows its plan, and carries out just that plan. */
export function PlanStep({ choices, onChange, onBack, onRefusedCells }: Props) {
  const { t } = useTranslation('sync-wizard')
  const navigate = useNavigate()
  const sendOnce = useSendOnce()
  const say = useServerText()
  const recorded = useRecordedError()
  const spaces = useSpaces(choices.platformId)
  const [accepted, setAccepted] = useState(false)
  const [confirmPrune, setConfirmPrune] = useState(false)

  const plan = useMutation({
    mutationFn: async (): Promise<Schemas['StartedSync']> => {
      const spaceIds = chosenSpaces(spaces.data ?? [], choices).map(({ id }) => id)
      const input = syncInput(choices, choices.platformId ?? '', spaceIds)
      try {
        return await sendOnce(input, (header) => call(api.POST('/api/v1/syncs', { params: { header }, body: input })))
      } catch (error) {
        onRefusedCells(cellErrors(input, toProblem(error).errors))
        throw error
      }
    },
  })
  // One dry run for one set of choices: the step is mounted anew when something else was chosen.
  const asked = useRef<Choices | null>(null)
  const { mutate } = plan
  const ready = spaces.data !== undefined
  useEffect(() => {
    if (!ready || asked.current === choices) return
    asked.current = choices
    mutate()
  }, [ready, choices, mutate])

  const run = useQuery({
    queryKey: ['syncs', plan.data?.id],
    queryFn: () => call(api.GET('/api/v1/syncs/{id}', { params: { path: { id: plan.data?.id ?? '' } } })),
    enabled: plan.data !== undefined,
    refetchInterval: ({ state }) => (state.data === undefined || OPEN.has(state.data.state) ? 500 : false),
  })
  const planned = run.data !== undefined && !OPEN.has(run.data.state)
  const targets = useQuery({
    queryKey: ['syncs', plan.data?.id, 'targets', 'all'],
    queryFn: () => loadTargets(plan.data?.id ?? ''),
    enabled: planned,
  })
  const apply = useMutation({
    mutationFn: () => {
      const id = plan.data?.id ?? ''
      return sendOnce({ apply: id, confirmPrune }, (header) =>
        call(api.POST('/api/v1/syncs/{id}/apply', { params: { path: { id }, header }, body: { confirmPrune } })),
      )
    },
    onSuccess: ({ id }) => navigate(`/syncs/${id}`),
  })

  const planError = run.data?.error == null ? null : recorded(run.data.error)
  const warnings = plan.data?.warnings ?? []
  const counts = countByAction(targets.data ?? [])
  const writes = (counts.create ?? 0) + (counts.update ?? 0) + (counts.remove ?? 0)
  const isPlanned = run.data?.state === 'planned'
  return (
    <>
      <div className="row">
        <span>{t('plan.policy')}</span>
        <Select<WritePolicy>
          value={choices.writePolicy}
          aria-label={t('plan.policy')}
          style={{ width: 260 }}
          options={POLICIES.map((value) => ({ value, label: t(`policies.${value}`) }))}
          onChange={(writePolicy) => onChange({ ...choices, writePolicy })}
        />
      </div>
      {plan.error === null ? null : <ProblemAlert error={plan.error} onRetry={() => plan.mutate()} />}
      {run.error === null ? null : <ProblemAlert error={run.error} onRetry={() => void run.refetch()} />}
      {plan.error !== null || (planned && targets.data !== undefined) ? null : (
        <>
          <p className="muted">{t('plan.making')}</p>
          <Loading />
        </>
      )}
      {run.data?.state === 'waiting_for_credential' ? (
        <Alert type="warning" showIcon title={t('plan.waiting')} description={planError?.message} />
      ) : null}
      {planned && !isPlanned ? (
        <Alert
          type="error"
          showIcon
          title={t('plan.failed')}
          description={planError === null ? undefined : `${planError.message} ${planError.hint ?? ''}`}
        />
      ) : null}
      {warnings.map((warning) => (
        <Alert key={warning} type="warning" showIcon title={say(warning)} />
      ))}
      {targets.error === null ? null : <ProblemAlert error={targets.error} onRetry={() => void targets.refetch()} />}
      {targets.data === undefined ? null : <PlanTable targets={targets.data} />}
      {apply.error === null ? null : <ProblemAlert error={apply.error} />}
      {apply.error !== null && toProblem(apply.error).code === 'prune_not_confirmed' ? (
        <Checkbox checked={confirmPrune} onChange={({ target }) => setConfirmPrune(target.checked)}>
          {t('plan.confirmPrune')}
        </Checkbox>
      ) : null}
      {warnings.length === 0 ? null : (
        <Checkbox checked={accepted} onChange={({ target }) => setAccepted(target.checked)}>
          {t('plan.accept')}
        </Checkbox>
      )}
      <Foot says={targets.data === undefined ? null : t('plan.says', { count: writes })} onBack={onBack}>
        <Button
          type="primary"
          loading={apply.isPending}
          disabled={!isPlanned || targets.data === undefined || (warnings.length > 0 && !accepted)}
          onClick={() => apply.mutate()}
        >
          {writes === 0 ? t('plan.startAnyway') : t('plan.start')}
        </Button>
      </Foot>
    </>
  )
}

function loadTargets(id: string): Promise<Schemas['SyncTarget'][]> {
  return loadAll((cursor) =>
    call(
      api.GET('/api/v1/syncs/{id}/targets', {
        params: { path: { id }, query: { limit: 200, ...at(cursor) } },
      }),
    ),
  )
}
