import { Button } from 'antd'
import { useId } from 'react'
import { useTranslation } from 'react-i18next'
import { Link } from 'react-router'
import type { Schemas } from '../../api/client.ts'
import { useRole } from '../../api/session.ts'
import { EmptyState } from '../../components/empty-state.tsx'
import { Select } from '../../components/select.tsx'
import { StateTag } from '../../components/state-tag.tsx'
import { type Choices, withPlatform } from './choices.ts'
import { Foot } from './foot.tsx'

const KINDS: readonly Schemas['Platform']['kind'][] = ['dify', 'coze']

type Props = {
  choices: Choices
  /** Active ones only, as the platforms. */
  instances: Schemas['Instance'][]
  platforms: Schemas['Platform'][]
  onChange: (choices: Choices) => void
  onNext: () => void
}

/** Which MCP servers, and to which platform. */
export function PlatformStep({ choices, instances, platforms, onChange, onNext }: Props) {
  const { t } = useTranslation('sync-wizard')
  const mayRegister = useRole('admin')
  const serversId = useId()
  if (instances.length === 0) {
    return (
      <EmptyState
        title={t('platform.noServers.title')}
        text={t('platform.noServers.text')}
        actions={
          <Link to="/instances?new=1">
            <Button type="primary">{t('platform.noServers.add')}</Button>
          </Link>
        }
      />
    )
  }
  return (
    <>
      <div className="wizard-field">
        <label htmlFor={serversId}>{t('platform.servers')}</label>
        <Select
          id={serversId}
          mode="multiple"
          style={{ width: '100%', maxWidth: 760 }}
          placeholder={t('platform.serversPlaceholder')}
          optionFilterProp="label"
          value={choices.instanceIds}
          options={instances.map(({ id, name }) => ({ value: id, label: name }))}
          onChange={(instanceIds: string[]) => onChange({ ...choices, instanceIds })}
        />
      </div>
      <div className="wizard-field">
        <div className="wizard-label">{t('platform.target')}</div>
        {platforms.length === 0 ? (
          <EmptyState
            title={t('platform.none.title')}
            text={t(mayRegister ? 'platform.none.text' : 'platform.none.ask')}
            actions={mayRegister ? <RegisterLinks /> : undefined}
          />
        ) : (
          <fieldset className="platform-cards" aria-label={t('platform.target')}>
            {platforms.map((platform) => (
              <label className="platform-card" key={platform.id}>
                <input
                  type="radio"
                  name="platform"
                  checked={choices.platformId === platform.id}
                  onChange={() => onChange(withPlatform(choices, platform.id))}
                />
                <span>
                  <strong>{platform.name}</strong>
                  <span className="muted">{t(`platform.kinds.${platform.kind}`)} · </span>
                  <StateTag state={platform.credentialState} />
                </span>
              </label>
            ))}
          </fieldset>
        )}
      </div>
      {platforms.length === 0 || !mayRegister ? null : (
        <p className="row">
          <span className="muted">{t('platform.another')}</span>
          <RegisterLinks />
        </p>
      )}
      <Foot
        says={t('platform.says', { count: choices.instanceIds.length })}
        onNext={onNext}
        nextDisabled={choices.platformId === null || choices.instanceIds.length === 0}
      />
    </>
  )
}

/** To the form of either kind of platform. */
function RegisterLinks() {
  const { t } = useTranslation('platforms')
  return KINDS.map((kind) => (
    <Link key={kind} to={`/platforms?new=${kind}`}>
      {t(`add.${kind}`)}
    </Link>
  ))
}
