import { Form, type FormInstance } from 'antd'
import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { formEnd, leaveText } from './form-end.ts'
import { Modal } from './overlays.tsx'
import { ProblemAlert } from './problem-alert.tsx'

type Props<V> = {
  title: string
  okText: string
  form: FormInstance<V>
  initialValues?: object
  saving: { isPending: boolean; error: Error | null; mutate: (values: V) => void }
  onClose: () => void
  /** Its fields. */
  children: ReactNode
}

/** A form in a dialog: sent by its button, and what was refused is said below its fields. */
export function FormDialog<V extends object>(props: Props<V>) {
  const { title, okText, form, initialValues = {}, saving, onClose, children } = props
  const { t } = useTranslation()
  const end = formEnd(saving.error)
  return (
    <Modal
      open
      title={title}
      okText={okText}
      okButtonProps={{ disabled: end !== null }}
      cancelText={t(leaveText(end))}
      confirmLoading={saving.isPending}
      onOk={() => form.submit()}
      onCancel={onClose}
    >
      <Form<V>
        form={form}
        layout="vertical"
        requiredMark={false}
        initialValues={initialValues}
        onFinish={(values) => saving.mutate(values)}
      >
        {children}
      </Form>
      {saving.error === null ? null : <ProblemAlert error={saving.error} />}
    </Modal>
  )
}
