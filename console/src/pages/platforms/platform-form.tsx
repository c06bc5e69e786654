import { useMutation } from '@tanstack/react-query'
import { Button, Form, type FormInstance } from 'antd'
import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { toProblem } from '../../api/problem.ts'
import { showFieldErrors } from '../../components/form-problem.ts'
import { Drawer } from '../../components/overlays.tsx'
import { ProblemAlert } from '../../components/problem-alert.tsx'
import { SaveButtons } from '../../components/save-buttons.tsx'
import { CheckResult } from './check-result.tsx'
import type { PlatformCheck } from './queries.ts'

type Props<V> = {
  title: ReactNode
  initialValues: object
  children: ReactNode
  /** Asks the platform without saving; null: nothing can be asked before it is saved. */
  check: ((values: V) => Promise<PlatformCheck>) | null
  /** `force`: although the check fails. */
  save: (values: V, force: boolean) => Promise<unknown>
  onClose: () => void
  onGone?: () => void
}

/** The drawer with a platform's form: test, save, and save all the same when only the test fails. */
export function PlatformForm<V extends object>(props: Props<V>) {
  const { title, initialValues, children, check, save, onClose, onGone } = props
  const { t } = useTranslation('platforms')
  const [form] = Form.useForm<V>()
  const checking = useMutation({ mutationFn: (values: V) => check?.(values) ?? Promise.reject(new Error('no check')) })
  const saving = useMutation({
    mutationFn: ({ values, force }: { values: V; force: boolean }) => save(values, force),
  })
  const error = saving.error ?? checking.error
  const canForce = saving.error !== null && toProblem(saving.error).code === 'check_failed'

  const test = async () => {
    const values = await validValues(form)
    if (values === null) return
    saving.reset()
    checking.mutate(values, { onError: (problem) => showFieldErrors(form, problem) })
  }
  const submit = (values: V, force: boolean) => {
    checking.reset()
    saving.mutate({ values, force }, { onError: (problem) => showFieldErrors(form, problem), onSuccess: onClose })
  }
  const saveAnyway = async () => {
    const values = await validValues(form)
    if (values !== null) submit(values, true)
  }

  return (
    <Drawer
      open
      size={560}
      title={title}
      onClose={onClose}
      footer={
        <div className="spread">
          {check === null ? (
            <span />
          ) : (
            <Button onClick={() => void test()} loading={checking.isPending} disabled={saving.isPending}>
              {t('form.test')}
            </Button>
          )}
          <SaveButtons saving={saving} onSave={() => form.submit()} onClose={onClose} onGone={onGone}>
            {canForce ? (
              <Button danger onClick={() => void saveAnyway()}>
                {t('form.saveAnyway')}
              </Button>
            ) : null}
          </SaveButtons>
        </div>
      }
    >
      <Form<V>
        form={form}
        layout="vertical"
        requiredMark={false}
        scrollToFirstError
        initialValues={initialValues}
        onFinish={(values) => submit(values, false)}
      >
        {children}
      </Form>
      <div className="stack" aria-live="polite">
        {error === null ? null : <ProblemAlert error={error} />}
        {checking.data === undefined ? null : <CheckResult check={checking.data} />}
      </div>
    </Drawer>
  )
}

/** The values when every field is right; null when not, and the fields say why, the first of them in sight. */
async function validValues<V>(form: FormInstance<V>): Promise<V | null> {
  return form.validateFields().then(
    (values) => values as V,
    ({ errorFields }: { errorFields?: { name: (string | number)[] }[] }) => {
      const first = errorFields?.[0]
      if (first !== undefined) form.scrollToField(first.name)
      return null
    },
  )
}
