import { useMutation, useQueryClient } from '@tanstack/react-query'
import { App, Checkbox, Form, Input } from 'antd'
import { useTranslation } from 'react-i18next'
import { api, call } from '../../api/client.ts'
import { toProblem } from '../../api/problem.ts'
import { FormDialog } from '../../components/form-dialog.tsx'
import { CookieField } from './cookie-field.tsx'
import type { Platform } from './queries.ts'

type Values = { password?: string; cookie?: string; confirmUserChange?: boolean }

/** A new password or cookie; it is checked first, and runs that wait for it go on. Used by the run page, too. */
export function CredentialForm({ platform, onClose }: { platform: Platform; onClose: () => void }) {
  const { t } = useTranslation('platforms')
  const { message } = App.useApp()
  const queries = useQueryClient()
  const [form] = Form.useForm<Values>()
  const saving = useMutation({
    mutationFn: (body: Values) =>
      call(api.PUT('/api/v1/platforms/{id}/credential', { params: { path: { id: platform.id } }, body })),
    onSuccess: async () => {
      await queries.invalidateQueries()
      message.success(t('credential.saved'))
      onClose()
    },
  })
  const otherUser = saving.error !== null && toProblem(saving.error).code === 'other_user'
  return (
    <FormDialog<Values>
      title={t(platform.kind === 'dify' ? 'credential.password' : 'credential.cookie', { name: platform.name })}
      okText={t('common:save')}
      form={form}
      saving={saving}
      onClose={onClose}
    >
      {platform.kind === 'dify' ? (
        <Form.Item
          name="password"
          label={t('form.password')}
          rules={[{ required: true, message: t('form.required', { what: t('form.password') }) }]}
        >
          <Input.Password autoComplete="new-password" />
        </Form.Item>
      ) : (
        <CookieField />
      )}
      {otherUser ? (
        <Form.Item name="confirmUserChange" valuePropName="checked">
          <Checkbox>{t('credential.confirmUser')}</Checkbox>
        </Form.Item>
      ) : null}
    </FormDialog>
  )
}
