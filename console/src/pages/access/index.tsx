import { useQuery } from '@tanstack/react-query'
import { Tag } from 'antd'
import { useTranslation } from 'react-i18next'
import { useSearchParams } from 'react-router'
import { api, call, type Schemas } from '../../api/client.ts'
import { at, useAll } from '../../api/lists.ts'
import { useRole } from '../../api/session.ts'
import { Page as Frame } from '../../components/page.tsx'
import { Select } from '../../components/select.tsx'
import { AccessTable } from './access-table.tsx'
import { ATTENTIONS } from './queries.ts'
import { RotateButton } from './rotate-button.tsx'

const STATES = ['absent', 'pending', 'in_sync', 'drifted', 'failed', 'conflict', 'removed'] as const

/** Every authorization of the installation, by server and platform. */
export function Page() {
  const { t } = useTranslation('access')
  const [address, setAddress] = useSearchParams()
  const instances = useAll<Schemas['Instance']>(['instances'], (cursor) =>
    call(api.GET('/api/v1/instances', { params: { query: { limit: 200, ...at(cursor) } } })),
  )
  const platforms = useAll<Schemas['Platform']>(['platforms'], (cursor) =>
    call(api.GET('/api/v1/platforms', { params: { query: { limit: 200, ...at(cursor) } } })),
  )
  const choose = (name: string, value: string | undefined) =>
    setAddress((former) => {
      const next = new URLSearchParams(former)
      if (value === undefined) next.delete(name)
      else next.set(name, value)
      return next
    })
  const instanceId = address.get('instance') ?? undefined
  const platformId = address.get('platform') ?? undefined
  // The overview leads here with a state, or with what needs attention.
  const spaceId = address.get('space') ?? undefined
  const spaceName = useSpaceName(spaceId)
  const mayChange = useRole('operator')
  const nameOf = (records: { id: string; name: string }[] | undefined, id: string | undefined) =>
    records?.find((record) => record.id === id)?.name
  const scopeNames = [nameOf(platforms.data, platformId), nameOf(instances.data, instanceId), spaceName]
  const state = STATES.find((known) => known === address.get('state'))
  const attention = ATTENTIONS.find((known) => known === address.get('attention'))
  return (
    <Frame
      title={t('title')}
      lead={t('lead')}
      actions={
        mayChange ? (
          <RotateButton
            scope={{
              platformId,
              instanceId,
              spaceId,
              name: scopeNames.filter((name) => name !== undefined).join(' · ') || t('tokens:rotate.everything'),
            }}
          />
        ) : undefined
      }
    >
      <div className="row">
        <Select
          allowClear
          value={instanceId}
          placeholder={t('everyServer')}
          aria-label={t('columns.server')}
          style={{ width: 220 }}
          options={(instances.data ?? []).map(({ id, name }) => ({ value: id, label: name }))}
          onChange={(value?: string) => choose('instance', value)}
        />
        <Select
          allowClear
          value={platformId}
          placeholder={t('everyPlatform')}
          aria-label={t('columns.platform')}
          style={{ width: 220 }}
          options={(platforms.data ?? []).map(({ id, name }) => ({ value: id, label: name }))}
          onChange={(value?: string) => choose('platform', value)}
        />
        <Select
          allowClear
          value={state}
          placeholder={t('everyState')}
          aria-label={t('columns.platformState')}
          style={{ width: 180 }}
          options={STATES.map((value) => ({ value, label: t(`common:states.${value}`) }))}
          onChange={(value?: string) => choose('state', value)}
        />
        <Select
          allowClear
          value={attention}
          placeholder={t('everyToken')}
          aria-label={t('columns.attention')}
          style={{ width: 220 }}
          options={ATTENTIONS.map((value) => ({ value, label: t(`attention.${value}`) }))}
          onChange={(value?: string) => choose('attention', value)}
        />
        {spaceId === undefined ? null : (
          <Tag closable onClose={() => choose('space', undefined)}>
            {t('space', { name: spaceName ?? '…' })}
          </Tag>
        )}
      </div>
      <AccessTable
        filter={{
          ...(instanceId === undefined ? {} : { instanceId }),
          ...(platformId === undefined ? {} : { platformId }),
          ...(spaceId === undefined ? {} : { spaceId }),
          ...(state === undefined ? {} : { state }),
          ...(attention === undefined ? {} : { attention }),
        }}
        onClear={() => setAddress({})}
      />
    </Frame>
  )
}

/** The name of the space that a link leads here with; undefined until it is known, or when nothing is bound there. */
function useSpaceName(spaceId: string | undefined): string | undefined {
  const { data } = useQuery({
    queryKey: ['bindings', { spaceId, limit: 1 }],
    queryFn: () => call(api.GET('/api/v1/bindings', { params: { query: { limit: 1, spaceId: spaceId ?? '' } } })),
    enabled: spaceId !== undefined,
  })
  return data?.items[0]?.space.name
}
