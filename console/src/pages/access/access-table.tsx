import { App, Button, Switch, Table, Tag } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link, useSearchParams } from 'react-router'
import { useRole } from '../../api/session.ts'
import { EmptyState } from '../../components/empty-state.tsx'
import { LoadMore } from '../../components/load-more.tsx'
import { ProblemAlert } from '../../components/problem-alert.tsx'
import { useProblemToast } from '../../components/problem-text.ts'
import { useRecordedError } from '../../components/recorded-error.ts'
import { StateTag } from '../../components/state-tag.tsx'
import { Time } from '../../components/time.tsx'
import { Wide } from '../../components/wide.tsx'
import { AccessDrawer } from './access-drawer.tsx'
import { AdoptDialog } from './adopt-dialog.tsx'
import { type Binding, type Filter, useBindings, useChangeBinding, useChangeBindings } from './queries.ts'
import { RemoveDialog } from './remove-dialog.tsx'
import { useReveal } from './reveal.tsx'
import { RotateDialog } from './rotate-dialog.tsx'
import { RowActions } from './row-actions.tsx'
import { TokenCell } from './token-cell.tsx'
import { mayRemove, nameOf } from './tokens.ts'
import { TokensDrawer } from './tokens-drawer.tsx'
import './access.css'

/**
 * Authorizations as a table: what each space may do with each server, and the switch that cuts it off. `onClear`: takes back the
 * filters that a person has set.
 */
export function AccessTable({ filter, onClear }: { filter: Filter; onClear?: () => void }) {
  const { t } = useTranslation('access')
  const mayChange = useRole('operator')
  const recorded = useRecordedError()
  const bindings = useBindings(filter)
  const [selected, setSelected] = useState<string[]>([])
  const [opened, setOpened] = useState<Opened | null>(null)
  const reveal = useReveal()
  const [address, setAddress] = useSearchParams()
  const openTokens = (id: string | null) =>
    setAddress((former) => {
      const next = new URLSearchParams(former)
      if (id === null) next.delete('tokens')
      else next.set('tokens', id)
      return next
    })
  const tokensOf = address.get('tokens')
  const chosen = bindings.items.filter(({ id }) => selected.includes(id))
  const isEmpty = !bindings.isLoading && bindings.items.length === 0 && bindings.error === null
  const list = (
    <>
      {bindings.error === null ? null : <ProblemAlert error={bindings.error} onRetry={bindings.refetch} />}
      {mayChange && chosen.length > 0 ? (
        <BatchActions
          chosen={chosen}
          onEdit={() => setOpened({ kind: 'edit', bindings: chosen })}
          onRotate={() => setOpened({ kind: 'rotate', bindings: chosen })}
          onRemove={() => setOpened({ kind: 'remove', bindings: chosen.filter(mayRemove) })}
          onDone={() => setSelected([])}
        />
      ) : null}
      {/* Not by Table's own scrolling: its measuring row would repeat the selection's checkbox, hidden yet focusable. */}
      <Wide label={t('title')} min={1000}>
        <Table<Binding>
          rowKey="id"
          size="middle"
          pagination={false}
          loading={bindings.isLoading}
          dataSource={bindings.items}
          {...(mayChange
            ? {
                rowSelection: {
                  selectedRowKeys: selected,
                  onChange: (keys: React.Key[]) => setSelected(keys.map(String)),
                  getCheckboxProps: (binding: Binding) => ({ 'aria-label': t('select', { name: nameOf(binding) }) }),
                },
              }
            : {})}
          columns={[
            {
              title: t('columns.space'),
              render: (_, { space, platform }) => (
                <>
                  <div className="access-name clip" title={space.name}>
                    {space.name}
                  </div>
                  <div className="access-name clip muted" title={platform.name}>
                    {platform.name}
                  </div>
                </>
              ),
            },
            ...(filter.instanceId === undefined
              ? [
                  {
                    title: t('columns.server'),
                    render: (_: unknown, { instance }: Binding) => (
                      <div className="access-name clip" title={instance.name}>
                        <Link to={`/instances/${instance.id}/access`}>{instance.name}</Link>
                      </div>
                    ),
                  },
                ]
              : []),
            {
              title: t('columns.access'),
              render: (_, binding) => <AccessSwitch binding={binding} locked={!mayChange} />,
            },
            {
              title: t('columns.token'),
              render: (_, binding) => (
                <TokenCell binding={binding} reveal={reveal} onOpen={() => openTokens(binding.id)} />
              ),
            },
            {
              title: t('columns.expires'),
              render: (_, { expiresAt }) => (expiresAt === null ? t('never') : <Time at={expiresAt} />),
            },
            { title: t('columns.used'), render: (_, { token }) => <Time at={token?.lastUsedAt ?? null} /> },
            { title: t('columns.headers'), render: (_, binding) => headersText(binding, t('inherited')) },
            {
              title: t('columns.platformState'),
              render: (_, { deployment }) => (
                <StateTag
                  state={deployment.state}
                  title={deployment.error === null ? '' : recorded(deployment.error).message}
                />
              ),
            },
            { title: t('columns.tags'), render: (_, { tags }) => tags.map((tag) => <Tag key={tag}>{tag}</Tag>) },
            {
              title: <span className="unseen">{t('common:more')}</span>,
              render: (_, binding) => (
                <div className="row" style={{ flexWrap: 'nowrap' }}>
                  {mayChange ? (
                    <Button
                      size="small"
                      aria-label={t('editOf', { name: nameOf(binding) })}
                      onClick={() => setOpened({ kind: 'edit', bindings: [binding] })}
                    >
                      {t('common:edit')}
                    </Button>
                  ) : null}
                  <RowActions
                    binding={binding}
                    onTokens={() => openTokens(binding.id)}
                    onRotate={() => setOpened({ kind: 'rotate', bindings: [binding] })}
                    onRemove={() => setOpened({ kind: 'remove', bindings: [binding] })}
                    onAdopt={() => setOpened({ kind: 'adopt', binding })}
                  />
                </div>
              ),
            },
          ]}
        />
        <LoadMore list={bindings} />
      </Wide>
    </>
  )
  return (
    <>
      {isEmpty ? <NoBindings filter={filter} onClear={onClear} /> : list}
      {/* Beside the list and not in it: what is opened stays as it is when its row leaves the filter, or the last one does. */}
      {tokensOf === null ? null : <TokensDrawer key={tokensOf} bindingId={tokensOf} onClose={() => openTokens(null)} />}
      {opened === null ? null : <Dialog opened={opened} onClose={() => setOpened(null)} />}
      {reveal.window}
    </>
  )
}

type Opened = { kind: 'edit' | 'rotate' | 'remove'; bindings: Binding[] } | { kind: 'adopt'; binding: Binding }

function Dialog({ opened, onClose }: { opened: Opened; onClose: () => void }) {
  switch (opened.kind) {
    case 'edit':
      return <AccessDrawer bindings={opened.bindings} onClose={onClose} />
    case 'rotate':
      return <RotateDialog scope={{ bindings: opened.bindings }} onClose={onClose} />
    case 'remove':
      return <RemoveDialog bindings={opened.bindings} onClose={onClose} />
    case 'adopt':
      return <AdoptDialog bindingId={opened.binding.id} name={nameOf(opened.binding)} onClose={onClose} />
  }
}

/** None at all yet, or none that the filters leave. */
function NoBindings({ filter, onClear }: { filter: Filter; onClear: (() => void) | undefined }) {
  const { t } = useTranslation('access')
  const maySync = useRole('operator')
  if (onClear !== undefined && Object.keys(filter).length > 0) {
    return (
      <EmptyState
        title={t('noMatch.title')}
        text={t('noMatch.text')}
        actions={<Button onClick={onClear}>{t('noMatch.clear')}</Button>}
      />
    )
  }
  return (
    <EmptyState
      title={t('empty.title')}
      text={t('empty.text')}
      actions={
        maySync ? (
          <Link to={`/syncs/new${filter.instanceId === undefined ? '' : `?instances=${filter.instanceId}`}`}>
            <Button type="primary">{t('empty.sync')}</Button>
          </Link>
        ) : undefined
      }
    />
  )
}

function AccessSwitch({ binding, locked }: { binding: Binding; locked: boolean }) {
  const { t } = useTranslation('access')
  const { message } = App.useApp()
  const tell = useProblemToast()
  const change = useChangeBinding()
  return (
    <div className="row" style={{ flexWrap: 'nowrap' }}>
      <Switch
        size="small"
        checked={binding.enabled}
        disabled={locked}
        loading={change.isPending}
        aria-label={t('accessOf', { name: nameOf(binding) })}
        onChange={(enabled) =>
          change.mutate(
            { binding, change: { enabled } },
            {
              onSuccess: ({ effective }) =>
                enabled
                  ? message.success(t('enabled'))
                  : effective
                    ? message.success(t('cutOff'))
                    : message.warning(t('notYetCutOff')),
              onError: tell,
            },
          )
        }
      />
      <span>{t(`accessStates.${binding.access}`)}</span>
      {binding.enforceable ? null : <span className="muted">{t('notEnforceable')}</span>}
    </div>
  )
}

function BatchActions(props: {
  chosen: Binding[]
  onEdit: () => void
  onRotate: () => void
  onRemove: () => void
  onDone: () => void
}) {
  const { t } = useTranslation('access')
  const { message } = App.useApp()
  const tell = useProblemToast()
  const change = useChangeBindings()
  const { chosen, onEdit, onRotate, onRemove, onDone } = props
  const turn = (enabled: boolean) =>
    change.mutate(
      { bindings: chosen, change: { enabled } },
      {
        onSuccess: ({ effective }) => {
          if (!effective) message.warning(t('notYetCutOff'))
          onDone()
        },
        onError: tell,
      },
    )
  return (
    <div className="row">
      <span>{t('chosen', { count: chosen.length })}</span>
      <Button size="small" onClick={() => turn(true)} loading={change.isPending}>
        {t('enableAll')}
      </Button>
      <Button size="small" danger onClick={() => turn(false)} loading={change.isPending}>
        {t('disableAll')}
      </Button>
      <Button size="small" onClick={onEdit}>
        {t('editAll')}
      </Button>
      <Button size="small" onClick={onRotate}>
        {t('rotateAll')}
      </Button>
      <Button size="small" danger disabled={!chosen.some(mayRemove)} onClick={onRemove}>
        {t('removeAll')}
      </Button>
    </div>
  )
}

function headersText({ passThroughHeaders }: Binding, inherited: string): string {
  if (passThroughHeaders === null) return inherited
  return Object.keys(passThroughHeaders).join(', ') || '–'
}
