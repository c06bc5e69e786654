import { Button } from 'antd'
import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'

type Props = {
  /** What is chosen so far, in a few words. */
  says: ReactNode
  onBack?: () => void
  /** The step's own button in the place of Next. */
  children?: ReactNode
  onNext?: () => void
  nextDisabled?: boolean
}

/** Below every step: what is chosen, back, and on. */
export function Foot({ says, onBack, onNext, nextDisabled = false, children }: Props) {
  const { t } = useTranslation('sync-wizard')
  return (
    <div className="wizard-foot">
      <span className="wizard-says" aria-live="polite">
        {says}
      </span>
      {onBack === undefined ? null : <Button onClick={onBack}>{t('back')}</Button>}
      {children}
      {onNext === undefined ? null : (
        <Button type="primary" onClick={onNext} disabled={nextDisabled}>
          {t('next')}
        </Button>
      )}
    </div>
  )
}
