import { Button, Input, Table } from 'antd'
import type { TFunction } from 'i18next'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { Schemas } from '../../api/client.ts'
import { Loading } from '../../components/loading.tsx'
import { ProblemAlert } from '../../components/problem-alert.tsx'
import { Select } from '../../components/select.tsx'
import { Tabs } from '../../components/tabs.tsx'
import { Wide } from '../../components/wide.tsx'
import {
  type Cell,
  type Choices,
  cellIn,
  cellKey,
  type Default,
  EVERY_SPACE,
  EXPIRIES,
  type Expiry,
  type Keep,
  withCell,
  withDefault,
} from './choices.ts'
import { Foot } from './foot.tsx'
import { HeadersDrawer } from './headers-drawer.tsx'
import { chosenSpaces, type Space, useSpaces } from './use-spaces.ts'

type Instance = Schemas['Instance']

type Props = {
  choices: Choices
  instances: Instance[]
  /** What the server refused, by `cellKey`. */
  refused: Record<string, string>
  onChange: (choices: Choices) => void
  onBack: () => void
  onNext: () => void
}

/** Per server and space: whose token, until when, and which headers go to the MCP server. Everything has a good default. */
export function AuthorizationStep({ choices, instances, refused, onChange, onBack, onNext }: Props) {
  const { t } = useTranslation('sync-wizard')
  const spaces = useSpaces(choices.platformId)
  const chosen = chosenSpaces(spaces.data ?? [], choices)
  const bad = Object.keys(refused)
  const [shown, setShown] = useState(bad[0]?.split('/')[0] ?? instances[0]?.id ?? '')
  const instance = instances.find(({ id }) => id === shown) ?? instances[0]
  const own = Object.values(choices.cells).filter(({ token }) => token !== undefined).length
  return (
    <>
      <p className="muted">{t('authorization.lead')}</p>
      {spaces.isLoading ? <Loading /> : null}
      {spaces.error === null ? null : <ProblemAlert error={spaces.error} onRetry={() => void spaces.refetch()} />}
      {instances.length < 2 ? null : (
        <Tabs
          activeKey={instance?.id ?? ''}
          onChange={setShown}
          items={instances.map(({ id, name }) => ({
            key: id,
            label: bad.some((key) => key.startsWith(`${id}/`)) ? `${name} ⚠` : name,
          }))}
        />
      )}
      {instance === undefined || spaces.data === undefined ? null : (
        <InstanceCells
          key={instance.id}
          instance={instance}
          spaces={chosen}
          choices={choices}
          refused={refused}
          onChange={onChange}
        />
      )}
      <Foot
        says={t('authorization.says', { count: instances.length * chosen.length, own })}
        onBack={onBack}
        onNext={onNext}
      />
    </>
  )
}

type CellsProps = {
  instance: Instance
  spaces: Space[]
  choices: Choices
  refused: Record<string, string>
  onChange: (choices: Choices) => void
}

/** Which headers are being edited: of one space, or of every one. */
type Editing = { spaceId: string; title: string } | null

function InstanceCells({ instance, spaces, choices, refused, onChange }: CellsProps) {
  const { t } = useTranslation('sync-wizard')
  const [editing, setEditing] = useState<Editing>(null)
  const [expiryForAll, setExpiryForAll] = useState<Expiry | 'keep'>(choices.defaults[instance.id]?.expiry ?? 'keep')
  const cellOf = (spaceId: string) => cellIn(choices, instance.id, spaceId)
  const forAll = choices.defaults[instance.id] ?? {}
  const refusedForAll = refused[cellKey(instance.id, EVERY_SPACE)]
  const change = (spaceId: string, part: Partial<Cell>) =>
    onChange(withCell(choices, cellKey(instance.id, spaceId), part))

  return (
    <>
      <div className="row">
        <Select<Expiry | 'keep'>
          value={expiryForAll}
          aria-label={t('authorization.expiryForAll')}
          options={(['keep', ...EXPIRIES] as const).map((value) => ({ value, label: t(`expiries.${value}`) }))}
          onChange={setExpiryForAll}
          style={{ width: 170 }}
        />
        <Button onClick={() => onChange(withDefault(choices, instance.id, 'expiry', expiryForAll))}>
          {t('authorization.applyExpiry')}
        </Button>
        <Button onClick={() => setEditing({ spaceId: EVERY_SPACE, title: t('authorization.headersForAll') })}>
          {t('authorization.applyHeaders')}
        </Button>
        <span className="muted">{t('authorization.neverTokens')}</span>
      </div>
      {refusedForAll === undefined ? null : (
        <div role="alert" style={{ color: 'var(--tf-bad)' }}>
          {refusedForAll}
        </div>
      )}
      <Wide label={t('steps.authorization')} min={720} className="wizard-cells">
        <Table<Space>
          rowKey="id"
          size="small"
          dataSource={spaces}
          pagination={spaces.length > 50 ? { pageSize: 50, showSizeChanger: false } : false}
          columns={[
            { title: t('spaces.name'), dataIndex: 'name', width: '22%' },
            {
              title: t('authorization.token'),
              width: '38%',
              render: (_, space) => (
                <TokenChoice
                  name={space.name}
                  token={cellOf(space.id).token}
                  refused={refused[cellKey(instance.id, space.id)]}
                  onChange={(token) => change(space.id, { token })}
                />
              ),
            },
            {
              title: t('authorization.expiry'),
              width: 190,
              render: (_, space) => (
                <Select<Expiry | Keep>
                  value={cellOf(space.id).expiry ?? 'keep'}
                  aria-label={t('authorization.expiryOf', { name: space.name })}
                  options={(['keep', ...EXPIRIES] as const).map((value) => ({ value, label: t(`expiries.${value}`) }))}
                  onChange={(expiry) => change(space.id, { expiry })}
                  style={{ width: 170 }}
                />
              ),
            },
            {
              title: t('authorization.headers'),
              render: (_, space) => (
                <Button
                  size="small"
                  aria-label={`${headersText(t, cellOf(space.id), instance)}, ${t('authorization.headersOf', { name: space.name })}`}
                  onClick={() => setEditing({ spaceId: space.id, title: `${instance.name} · ${space.name}` })}
                >
                  {headersText(t, cellOf(space.id), instance)}
                </Button>
              ),
            },
          ]}
        />
      </Wide>
      {editing === null ? null : (
        <HeadersDrawer
          title={editing.title}
          instance={instance}
          headers={editing.spaceId === EVERY_SPACE ? forAll.headers : cellOf(editing.spaceId).headers}
          onClose={() => setEditing(null)}
          onSave={(headers) => {
            if (editing.spaceId === EVERY_SPACE)
              onChange(withDefault(choices, instance.id, 'headers', headers ?? 'keep'))
            else change(editing.spaceId, { headers: headers ?? 'keep' })
            setEditing(null)
          }}
        />
      )}
    </>
  )
}

function TokenChoice(props: {
  name: string
  token: string | undefined
  refused: string | undefined
  onChange: (token: string | undefined) => void
}) {
  const { t } = useTranslation('sync-wizard')
  const { name, token, refused, onChange } = props
  return (
    <div>
      <div className="row" style={{ flexWrap: 'nowrap' }}>
        <Select
          value={token === undefined ? 'made' : 'own'}
          aria-label={t('authorization.tokenOf', { name })}
          options={[
            { value: 'made', label: t('authorization.made') },
            { value: 'own', label: t('authorization.own') },
          ]}
          onChange={(value) => onChange(value === 'made' ? undefined : '')}
          style={{ width: 150 }}
        />
        {token === undefined ? null : (
          <Input.Password
            value={token}
            aria-label={t('authorization.ownTokenOf', { name })}
            status={refused === undefined ? '' : 'error'}
            onChange={({ target }) => onChange(target.value)}
            autoComplete="new-password"
            style={{ minWidth: 140 }}
          />
        )}
      </div>
      {refused === undefined ? null : (
        <div role="alert" style={{ color: 'var(--tf-bad)' }}>
          {refused}
        </div>
      )}
    </div>
  )
}

function headersText(t: TFunction<'sync-wizard'>, cell: Default, instance: Instance): string {
  const names = Object.keys(cell.headers ?? instance.defaultPassThroughHeaders)
  if (names.length === 0) return t(cell.headers === undefined ? 'authorization.noDefaults' : 'authorization.noHeaders')
  const text = names.length > 2 ? t('authorization.manyHeaders', { count: names.length }) : names.join(', ')
  return cell.headers === undefined ? t('authorization.defaults', { text }) : text
}
