import { useQueryClient } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import { useNavigate } from 'react-router'
import { api, call } from '../../api/client.ts'
import { DeleteDialog } from '../../components/delete-dialog.tsx'
import type { Instance } from '../instances/queries.ts'

export function DeleteInstance({ instance, onClose }: { instance: Instance; onClose: () => void }) {
  const { t } = useTranslation('instances')
  const queries = useQueryClient()
  const navigate = useNavigate()
  return (
    <DeleteDialog
      title={t('delete.title', { name: instance.name })}
      text={t('delete.text')}
      remove={async (query) =>
        (await call(api.DELETE('/api/v1/instances/{id}', { params: { path: { id: instance.id }, query } }))) ?? null
      }
      done={t('delete.done', { name: instance.name })}
      onDeleted={async () => {
        await navigate('/instances')
        await queries.invalidateQueries()
      }}
      onClose={onClose}
      onGone={() => void navigate('/instances')}
    />
  )
}
