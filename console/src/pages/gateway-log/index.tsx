import { useTranslation } from 'react-i18next'
import { Page as Frame } from '../../components/page.tsx'
import { LogTable } from './log-table.tsx'

/** Every call through the gateway, the newest first. */
export function Page() {
  const { t } = useTranslation('gateway-log')
  return (
    <Frame title={t('title')} lead={t('lead')}>
      <LogTable />
    </Frame>
  )
}
