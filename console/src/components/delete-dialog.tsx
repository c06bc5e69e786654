import { useMutation } from '@tanstack/react-query'
import { App, Checkbox } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useNavigate } from 'react-router'
import { useRole } from '../api/session.ts'
import { formEnd, leaveText } from './form-end.ts'
import { Modal } from './overlays.tsx'
import { ProblemAlert } from './problem-alert.tsx'

type Query = { forget: 'true' | 'false'; acceptWarnings: 'true' | 'false' }

type Props = {
  title: string
  text: string
  /** Answers the removal runs, one a platform, when there was something on any; null: it is gone everywhere. */
  remove: (query: Query) => Promise<{ syncId: string; syncs: readonly unknown[] } | { effective: boolean } | null>
  /** What to tell. */
  done: string
  onDeleted: () => void
  onClose: () => void
  /** Somebody else was quicker. */
  onGone: () => void
}

/** Deletes what may have objects on platforms: they are removed there first, by runs that are then shown. */
export function DeleteDialog({ title, text, remove, done, onDeleted, onClose, onGone }: Props) {
  const { t } = useTranslation()
  const { message } = App.useApp()
  const navigate = useNavigate()
  const isAdmin = useRole('admin')
  const [forget, setForget] = useState(false)
  const [acceptWarnings, setAcceptWarnings] = useState(false)
  const deleting = useMutation({
    mutationFn: () => remove({ forget: flag(forget), acceptWarnings: flag(acceptWarnings) }),
    onSuccess: (answer) => {
      if (answer !== null && 'syncs' in answer) {
        void navigate(answer.syncs.length === 1 ? `/syncs/${answer.syncId}` : '/syncs')
        return
      }
      if (answer === null || answer.effective) message.success(done)
      else message.warning(t('deletion.notYet'))
      onDeleted()
    },
  })
  const end = formEnd(deleting.error)
  return (
    <Modal
      open
      title={title}
      okText={t('delete')}
      okButtonProps={{ danger: true, disabled: end !== null }}
      cancelText={t(leaveText(end))}
      confirmLoading={deleting.isPending}
      onOk={() => deleting.mutate()}
      onCancel={end === 'gone' ? onGone : onClose}
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
