import { Radio } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { type HeaderRow, HeadersEditor, headerRows, headersOf } from '../../components/headers-editor.tsx'
import { Drawer } from '../../components/overlays.tsx'
import { ProblemAlert } from '../../components/problem-alert.tsx'
import { SaveButtons } from '../../components/save-buttons.tsx'
import { Select } from '../../components/select.tsx'
import { type Binding, type BindingChange, useChangeBinding, useChangeBindings } from './queries.ts'
import { nameOf } from './tokens.ts'

type Expiry = NonNullable<BindingChange['expiresIn']> | 'keep'
const EXPIRIES: readonly Expiry[] = ['keep', '7d', '15d', '30d', 'permanent']
type HeadersMode = 'keep' | 'inherit' | 'own'

/** Changes of one authorization, or of many at once. With many, only what is touched is changed. */
export function AccessDrawer({ bindings, onClose }: { bindings: Binding[]; onClose: () => void }) {
  const { t } = useTranslation('access')
  const [one] = bindings.length === 1 ? bindings : []
  const [expiry, setExpiry] = useState<Expiry>('keep')
  const [mode, setMode] = useState<HeadersMode>('keep')
  const [rows, setRows] = useState<HeaderRow[]>(() => headerRows(one?.passThroughHeaders ?? {}))
  const [tags, setTags] = useState<string[] | null>(one?.tags ?? null)
  const [tools, setTools] = useState<string[] | null>(one?.toolAllowList ?? null)
  const [limitTools, setLimitTools] = useState<'keep' | 'all' | 'some'>('keep')
  const changeOne = useChangeBinding()
  const changeMany = useChangeBindings()
  const saving = one === undefined ? changeMany : changeOne

  const change: BindingChange = {
    ...(expiry === 'keep' ? {} : { expiresIn: expiry }),
    ...(mode === 'keep' ? {} : { passThroughHeaders: mode === 'inherit' ? null : headersOf(rows) }),
    ...(tags === null || sameList(tags, one?.tags) ? {} : { tags }),
    ...(limitTools === 'keep' ? {} : { toolAllowList: limitTools === 'all' ? null : (tools ?? []) }),
  }
  const save = () => {
    const done = { onSuccess: onClose }
    if (one === undefined) changeMany.mutate({ bindings, change }, done)
    else changeOne.mutate({ binding: one, change }, done)
  }
  return (
    <Drawer
      open
      size={560}
      title={one === undefined ? t('editMany', { count: bindings.length }) : nameOf(one)}
      onClose={onClose}
      footer={
        <SaveButtons saving={saving} disabled={Object.keys(change).length === 0} onSave={save} onClose={onClose} />
      }
    >
      <div className="stack">
        {saving.error === null ? null : <ProblemAlert error={saving.error} />}
        <Field label={t('fields.expiry')}>
          <Select<Expiry>
            value={expiry}
            aria-label={t('fields.expiry')}
            style={{ width: 220 }}
            options={EXPIRIES.map((value) => ({ value, label: t(`expiries.${value}`) }))}
            onChange={setExpiry}
          />
        </Field>
        <Field label={t('fields.headers')} help={t('fields.headersHelp')}>
          <Radio.Group
            value={mode}
            aria-label={t('fields.headers')}
            onChange={({ target }) => setMode(target.value)}
            options={(['keep', 'inherit', 'own'] as const).map((value) => ({
              value,
              label: t(`headerModes.${value}`),
            }))}
          />
          {mode === 'own' ? <HeadersEditor value={rows} onChange={setRows} /> : null}
        </Field>
        <Field label={t('fields.tools')} help={t('fields.toolsHelp')}>
          <Radio.Group
            value={limitTools}
            aria-label={t('fields.tools')}
            onChange={({ target }) => setLimitTools(target.value)}
            options={(['keep', 'all', 'some'] as const).map((value) => ({ value, label: t(`toolModes.${value}`) }))}
          />
          {limitTools === 'some' ? (
            <Select
              mode="tags"
              value={tools ?? []}
              aria-label={t('fields.toolNames')}
              placeholder={t('fields.toolNames')}
              style={{ width: '100%' }}
              onChange={(names: string[]) => setTools(names)}
            />
          ) : null}
        </Field>
        <Field label={t('fields.tags')}>
          <Select
            mode="tags"
            value={tags ?? []}
            aria-label={t('fields.tags')}
            placeholder={one === undefined ? t('expiries.keep') : t('fields.tags')}
            style={{ width: '100%' }}
            onChange={(names: string[]) => setTags(names)}
          />
        </Field>
      </div>
    </Drawer>
  )
}

function Field({ label, help, children }: { label: string; help?: string; children: React.ReactNode }) {
  return (
    <div className="stack" style={{ gap: 8 }}>
      <strong>{label}</strong>
      {help === undefined ? null : <span className="muted">{help}</span>}
      {children}
    </div>
  )
}

function sameList(a: string[], b: string[] | undefined): boolean {
  return b !== undefined && a.length === b.length && a.every((item, index) => item === b[index])
}
