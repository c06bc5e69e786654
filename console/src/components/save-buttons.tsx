import { Button } from 'antd'
import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { formEnd, leaveText } from './form-end.ts'

type Props = {
  saving: { isPending: boolean; error: Error | null }
  /** Nothing is changed yet. */
  disabled?: boolean
  onSave: () => void
  onClose: () => void
  /** Where to when the record is gone; without it, as onClose. */
  onGone?: (() => void) | undefined
  children?: ReactNode
}

/** Below a form in a drawer: away from it, and save. */
export function SaveButtons({ saving, disabled = false, onSave, onClose, onGone = onClose, children }: Props) {
  const { t } = useTranslation()
  const end = formEnd(saving.error)
  return (
    <div className="row" style={{ justifyContent: 'flex-end' }}>
      <Button onClick={end === 'gone' ? onGone : onClose}>{t(leaveText(end))}</Button>
      {children}
      <Button type="primary" loading={saving.isPending} disabled={disabled || end !== null} onClick={onSave}>
        {t('common:save')}
      </Button>
    </div>
  )
}
