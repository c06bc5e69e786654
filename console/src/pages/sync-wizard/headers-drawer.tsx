import { Button } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { Schemas } from '../../api/client.ts'
import { HeadersEditor, headerRows, headersOf, MASK } from '../../components/headers-editor.tsx'
import { Drawer } from '../../components/overlays.tsx'
import type { Headers } from './choices.ts'

type Props = {
  title: string
  instance: Schemas['Instance']
  /** Undefined: the instance's defaults, which are filled in. */
  headers: Headers | undefined
  onSave: (headers: Headers | undefined) => void
  onClose: () => void
}

/** The pass-through headers of one cell, or of all of one instance. */
export function HeadersDrawer({ title, instance, headers, onSave, onClose }: Props) {
  const { t } = useTranslation('sync-wizard')
  const defaults = instance.defaultPassThroughHeaders
  const [rows, setRows] = useState(() => headerRows(headers ?? defaults))
  const save = () => {
    const given = headersOf(rows)
    onSave(isDefault(given, defaults) ? undefined : given)
  }
  return (
    <Drawer
      open
      title={title}
      size={520}
      onClose={onClose}
      footer={
        <div className="row" style={{ justifyContent: 'flex-end' }}>
          <Button onClick={() => setRows(headerRows(defaults))}>{t('headersDrawer.reset')}</Button>
          <Button type="primary" onClick={save}>
            {t('headersDrawer.take')}
          </Button>
        </div>
      }
    >
      <div className="stack">
        <p className="muted">{t('headersDrawer.lead', { name: instance.name })}</p>
        <HeadersEditor value={rows} onChange={setRows} />
      </div>
    </Drawer>
  )
}

/** The same names, every value still sealed: then the cell goes on following the instance's defaults. */
function isDefault(given: Headers, defaults: Headers): boolean {
  const names = Object.keys(given)
  return (
    names.length === Object.keys(defaults).length && names.every((name) => name in defaults && given[name] === MASK)
  )
}
