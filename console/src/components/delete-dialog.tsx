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
  /** Answers the removal runs, one a platform, when there was something on any. */
  remove: (query: Query) => Promise<{ syncId: string; syncs: readonly unknown[] } | null>
  onDeleted: () => void
  onClose: () => void
}

/** Deletes what may have objects on platforms: they are removed there first, by runs that are then shown. */
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
      else void navigate(run.syncs.length === 1 ? `/syncs/${run.syncId}` : '/syncs')
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
