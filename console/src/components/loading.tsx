import { Spin } from 'antd'
import { useTranslation } from 'react-i18next'
import './loading.css'

/** Shown only when waiting takes a moment, so that quick answers do not flicker. */
export function Loading() {
  const { t } = useTranslation()
  return (
    <div className="loading" role="status">
      <Spin delay={200} />
      <span className="unseen">{t('loading')}</span>
    </div>
  )
}
