import { Alert, Steps } from 'antd'
import type { TFunction } from 'i18next'
import { useEffect, useMemo, useRef, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useSearchParams } from 'react-router'
import { api, call, type Schemas } from '../../api/client.ts'
import { at, useAll } from '../../api/lists.ts'
import { useRole } from '../../api/session.ts'
import { Loading } from '../../components/loading.tsx'
import { Page as Frame } from '../../components/page.tsx'
import { ProblemAlert } from '../../components/problem-alert.tsx'
import { AuthorizationStep } from './authorization-step.tsx'
import { type Choices, type Gone, startChoices, withKnown } from './choices.ts'
import { PlanStep } from './plan-step.tsx'
import { PlatformStep } from './platform-step.tsx'
import { SpacesStep } from './spaces-step.tsx'
import './sync-wizard.css'

const STEPS = ['platform', 'spaces', 'authorization', 'plan'] as const
type Step = (typeof STEPS)[number]

/**
 * From "which servers" to a running sync. The address holds servers, platform and step, so the browser's own back and
 * forward walk the steps; everything else is in memory until the run is started.
 */
export function Page() {
  const { t } = useTranslation('sync-wizard')
  const mayRun = useRole('operator')
  const [address, setAddress] = useSearchParams()
  const [named] = useState<Choices>(() =>
    startChoices(address.get('instances')?.split(',').filter(Boolean) ?? [], address.get('platform')),
  )
  const [chosenSoFar, setChoices] = useState(named)
  const [refusedCells, setRefusedCells] = useState<Record<string, string>>({})
  const instances = useAll<Schemas['Instance']>(['instances', { status: 'active' }], (cursor) =>
    call(api.GET('/api/v1/instances', { params: { query: { limit: 200, status: 'active', ...at(cursor) } } })),
  )
  const platforms = useAll<Schemas['Platform']>(['platforms'], (cursor) =>
    call(api.GET('/api/v1/platforms', { params: { query: { limit: 200, ...at(cursor) } } })),
  )
  const usable = useMemo(() => platforms.data?.filter(({ status }) => status === 'active'), [platforms.data])
  const known = useMemo(
    () =>
      instances.data === undefined || usable === undefined
        ? null
        : { instanceIds: new Set(idsOf(instances.data)), platformIds: new Set(idsOf(usable)) },
    [instances.data, usable],
  )
  // What is not there is neither counted nor sent. The same object as long as nothing changes: a plan is made once for it.
  const choices = useMemo(() => (known === null ? chosenSoFar : withKnown(chosenSoFar, known)), [chosenSoFar, known])
  const gone = useMemo((): Gone => {
    const former = [named, chosenSoFar]
    const instanceIds = [...new Set(former.flatMap((one) => one.instanceIds))]
    return {
      instanceIds: instanceIds.filter((id) => known?.instanceIds.has(id) === false),
      platform: former.some(({ platformId }) => platformId !== null && known?.platformIds.has(platformId) === false),
    }
  }, [named, chosenSoFar, known])

  const wanted = STEPS.find((step) => step === address.get('step')) ?? 'platform'
  const step = reachable(wanted, choices)
  // An address that is ahead of what is chosen is put right, or the wizard would jump there with the first choice.
  const isAhead = known !== null && step !== wanted
  useEffect(() => {
    if (!isAhead) return
    setAddress(
      (former) => {
        const next = new URLSearchParams(former)
        next.set('step', step)
        return next
      },
      { replace: true },
    )
  }, [isAhead, step, setAddress])
  const content = useRef<HTMLElement>(null)
  const shownStep = useRef(step)
  // A step's buttons go with it: whoever has no mouse goes on where the next step begins, and hears which one it is.
  useEffect(() => {
    if (shownStep.current === step) return
    shownStep.current = step
    content.current?.focus({ preventScroll: true })
  }, [step])
  const go = (to: Step) => {
    setAddress(addressOf(choices, to))
    window.scrollTo({ top: 0 })
  }
  /** Kept in the address at once: whoever looks at another page from here and comes back finds it again. */
  const choose = (next: Choices) => {
    setChoices(next)
    setAddress(addressOf(next, 'platform'), { replace: true })
  }

  const chosen = (instances.data ?? []).filter(({ id }) => choices.instanceIds.includes(id))
  return (
    <Frame title={t('title')} lead={leadOf(t, chosen)} back={{ to: '/instances', label: t('common:nav.instances') }}>
      {mayRun ? null : (
        <Alert type="info" showIcon title={t('common:needsRole', { role: t('common:roles.operator') })} />
      )}
      <Steps
        size="small"
        className="wizard-steps"
        current={STEPS.indexOf(step)}
        items={STEPS.map((name) => ({ title: t(`steps.${name}`) }))}
      />
      {instances.isLoading || platforms.isLoading ? <Loading /> : null}
      {instances.error === null ? null : (
        <ProblemAlert error={instances.error} onRetry={() => void instances.refetch()} />
      )}
      {platforms.error === null ? null : (
        <ProblemAlert error={platforms.error} onRetry={() => void platforms.refetch()} />
      )}
      <GoneNotes gone={gone} />
      <section ref={content} className="wizard-step" tabIndex={-1} aria-label={`${t('title')} · ${t(`steps.${step}`)}`}>
        {instances.data === undefined || usable === undefined ? null : step === 'platform' ? (
          <PlatformStep
            choices={choices}
            instances={instances.data}
            platforms={usable}
            onChange={choose}
            onNext={() => go('spaces')}
          />
        ) : step === 'spaces' ? (
          <SpacesStep
            choices={choices}
            onChange={setChoices}
            onBack={() => go('platform')}
            onNext={() => go('authorization')}
          />
        ) : step === 'authorization' ? (
          <AuthorizationStep
            choices={choices}
            instances={chosen}
            refused={refusedCells}
            onChange={(next) => {
              setRefusedCells({})
              setChoices(next)
            }}
            onBack={() => go('spaces')}
            onNext={() => go('plan')}
          />
        ) : (
          <PlanStep
            choices={choices}
            onChange={setChoices}
            onBack={() => go('authorization')}
            onRefusedCells={setRefusedCells}
          />
        )}
      </section>
    </Frame>
  )
}

/** What the address named, or what was chosen, and is not there (any more). */
function GoneNotes({ gone }: { gone: Gone }) {
  const { t } = useTranslation('sync-wizard')
  return (
    <>
      {gone.instanceIds.length === 0 ? null : (
        <Alert
          type="warning"
          showIcon
          role="status"
          title={t('gone.servers', { count: gone.instanceIds.length })}
          description={t('gone.serversText')}
        />
      )}
      {gone.platform ? (
        <Alert type="warning" showIcon role="status" title={t('gone.platform')} description={t('gone.platformText')} />
      ) : null}
    </>
  )
}

function addressOf({ instanceIds, platformId }: Choices, step: Step): Record<string, string> {
  return {
    ...(instanceIds.length === 0 ? {} : { instances: instanceIds.join(',') }),
    ...(platformId === null ? {} : { platform: platformId }),
    step,
  }
}

function idsOf(records: readonly { id: string }[]): string[] {
  return records.map(({ id }) => id)
}

/** The furthest step that what is chosen allows: an address alone brings no selection of spaces with it. */
function reachable(wanted: Step, choices: Choices): Step {
  if (choices.platformId === null || choices.instanceIds.length === 0) return 'platform'
  if (!choices.everySpace && choices.spaceIds.length === 0 && wanted !== 'platform') return 'spaces'
  return wanted
}

function leadOf(t: TFunction<'sync-wizard'>, chosen: Schemas['Instance'][]): string {
  if (chosen.length === 0) return t('lead')
  const names = chosen
    .slice(0, 3)
    .map(({ name }) => name)
    .join(', ')
  return chosen.length > 3 ? t('leadMore', { names, count: chosen.length - 3 }) : names
}
