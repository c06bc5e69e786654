import { useMutation, useQueryClient } from '@tanstack/react-query'
import { Button, Form, Input } from 'antd'
import { useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { Schemas } from '../api/client.ts'
import { signIn, takeCodeFromAddress } from '../api/session.ts'
import { Loading } from '../components/loading.tsx'
import { ProblemAlert } from '../components/problem-alert.tsx'
import { useTitle } from '../components/title.ts'
import { BRAND } from './brand.tsx'
import { Preferences } from './preferences.tsx'

/** The form for an API key; a one-time link in the address signs in by itself. */
export function SignIn() {
  const { t } = useTranslation()
  useTitle(t('signIn.title'))
  const queries = useQueryClient()
  const [code] = useState(takeCodeOnce)
  const opening = useMutation({
    mutationFn: (credential: Schemas['SessionCredential']) => signIn(credential),
    onSuccess: () => queries.invalidateQueries({ queryKey: ['me'] }),
  })
  const { mutate } = opening
  useEffect(() => {
    if (code !== null) mutate({ code })
  }, [code, mutate])

  if (code !== null && (opening.isPending || opening.isIdle)) return <Loading />
  return (
    <main className="sign-in">
      <div className="sign-in-card">
        <div className="sign-in-brand">
          <img src="/favicon.svg" alt="" width={36} height={36} />
          <h1 translate="no">{BRAND}</h1>
        </div>
        <p className="muted">{t('signIn.lead')}</p>
        {opening.error === null ? null : <ProblemAlert error={opening.error} />}
        <Form<{ apiKey: string }>
          layout="vertical"
          requiredMark={false}
          onFinish={({ apiKey }) => opening.mutate({ apiKey: apiKey.trim() })}
        >
          <Form.Item
            name="apiKey"
            label={t('signIn.apiKey')}
            rules={[{ required: true, whitespace: true, message: t('signIn.required') }]}
          >
            <Input.Password autoComplete="current-password" autoFocus placeholder="tfa_…" />
          </Form.Item>
          <Button type="primary" htmlType="submit" block loading={opening.isPending}>
            {t('signIn.submit')}
          </Button>
        </Form>
        <p className="sign-in-help">{t('signIn.help')}</p>
        <Preferences />
      </div>
    </main>
  )
}

let taken: string | null | undefined

/** React may run an initialiser twice; the address gives the code once. */
function takeCodeOnce(): string | null {
  taken ??= takeCodeFromAddress()
  const code = taken
  queueMicrotask(() => {
    taken = null
  })
  return code
}
