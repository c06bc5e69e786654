import { useMutation, useQueryClient } from '@tanstack/react-query'
import { Checkbox } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useNavigate } from 'react-router'
import { Modal } from '../../components/overlays.tsx'
import { ProblemAlert } from '../../components/problem-alert.tsx'
import type { Binding } from './queries.ts'
import { startRuns } from './runs-of.ts'
import { nameOf } from './tokens.ts'
import './access.css'

const MOST_NAMES = 8

/** Takes objects of ours away from their platforms, by runs that are then shown. Only what Toolferry made or adopted goes. */
export function RemoveDialog({ bindings, onClose }: { bindings: Binding[]; onClose: () => void }) {
  const { t } = useTranslation('access')
  const navigate = useNavigate()
  const queries = useQueryClient()
  const [acceptWarnings, setAcceptWarnings] = useState(false)
  const removing = useMutation({
    mutationFn: () => startRuns(bindings, { action: 'remove', name: t('remove.runName'), acceptWarnings }),
    onSuccess: (ids) => navigate(ids.length === 1 ? `/syncs/${ids[0]}` : '/syncs'),
    onSettled: () => queries.invalidateQueries({ queryKey: ['syncs'] }),
  })
  const names = bindings.map(nameOf)
  return (
    <Modal
      open
      title={t('remove.title', { count: bindings.length })}
      okText={t('remove.do')}
      okButtonProps={{ danger: true }}
      cancelText={t('common:cancel')}
      confirmLoading={removing.isPending}
      onOk={() => removing.mutate()}
      onCancel={onClose}
    >
      <div className="stack">
        <ul className="tokens-list">
          {names.slice(0, MOST_NAMES).map((name) => (
            <li key={name}>{name}</li>
          ))}
          {names.length > MOST_NAMES ? <li>{t('remove.more', { count: names.length - MOST_NAMES })}</li> : null}
        </ul>
        <p>{t('remove.meaning')}</p>
        <Checkbox checked={acceptWarnings} onChange={({ target }) => setAcceptWarnings(target.checked)}>
          {t('common:deletion.acceptWarnings')}
        </Checkbox>
        {removing.error === null ? null : <ProblemAlert error={removing.error} />}
      </div>
    </Modal>
  )
}
