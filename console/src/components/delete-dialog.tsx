import { useMutation } from '@tanstack/react-query'
import { Checkbox } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useNavigate } from 'react-router'
import { useRole } from '../api/session.ts'
import { Modal } from './overlays.tsx'
import { ProblemAlert } from './problem-alert.tsx'

type Query = { forget: 'true' | 'false'; acceptWarnings: 'true' | 'false' }

type Props = {
  title: string
  text: string
  /** Answers the first removal run, when there was something on a platform. */
  remove: (query: Query) => Promise<{ syncId: string } | null>
  onDeleted: () => void
  onClose: () => void
}

/** Deletes what may have objects on platforms: they are removed there first, by a run that is then shown. */
export function DeleteDialog({ title, text, remove, onDeleted, onClose }: Props) {
  const { t } = useTranslation()
  const navigate = useNavigate()
  const isAdmin = useRole('admin')
  const [forget, setForget] = useState(false)
  const [acceptWarnings, setAcceptWarnings] = useState(false)
  const deleting = useMutation({
    mutationFn: () => remove({ forget: flag(forget), acceptWarnings: flag(acceptWarnings) }),
    onSuccess: (run) => {
      if (run === null) onDeleted()
      else void navigate(`/syncs/${run.syncId}`)
    },
  })
  return (
    <Modal
      open
      title={title}
      okText={t('delete')}
      okButtonProps={{ danger: true }}
      cancelText={t('cancel')}
      confirmLoading={deleting.isPending}
      onOk={() => deleting.mutate()}
      onCancel={onClose}
    >
      <div className="stack">
        <p>{text}</p>
        <div>
          <Checkbox
            checked={acceptWarnings}
            disabled={forget}
            onChange={(event) => setAcceptWarnings(event.target.checked)}
          >
            {t('deletion.acceptWarnings')}
          </Checkbox>
          {isAdmin ? (
            <Checkbox checked={forget} onChange={(event) => setForget(event.target.checked)}>
              {t('deletion.forget')}
            </Checkbox>
          ) : null}
        </div>
        {deleting.error === null ? null : <ProblemAlert error={deleting.error} />}
      </div>
    </Modal>
  )
}

function flag(on: boolean): 'true' | 'false' {
  return on ? 'true' : 'false'
}
