import { Button } from 'antd'
import { useTranslation } from 'react-i18next'
import type { List } from '../api/lists.ts'

/** Below a list that has another page. */
export function LoadMore<T>({ list }: { list: List<T> }) {
  const { t } = useTranslation()
  if (!list.hasMore) return null
  return (
    <div className="row" style={{ justifyContent: 'center', padding: 12 }}>
      <Button onClick={list.loadMore} loading={list.isFetching}>
        {t('loadMore')}
      </Button>
    </div>
  )
}
