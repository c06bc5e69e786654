import { Button } from 'antd'
import { useTranslation } from 'react-i18next'
import { Link } from 'react-router'
import { EmptyState } from '../../components/empty-state.tsx'
import { Page as Frame } from '../../components/page.tsx'

export function Page() {
  const { t } = useTranslation()
  return (
    <Frame title={t('notFound.title')}>
      <div className="panel">
        <EmptyState
          title={t('notFound.title')}
          text={t('notFound.text')}
          actions={
            <Link to="/">
              <Button type="primary">{t('notFound.home')}</Button>
            </Link>
          }
        />
      </div>
    </Frame>
  )
}
