import { useQueryClient } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import { useNavigate } from 'react-router'
import { api, call, type Schemas } from '../../api/client.ts'
import { COZE_DEFAULTS, CozeFields, type CozeValues } from './coze-fields.tsx'
import { DIFY_DEFAULTS, DifyFields, type DifyValues } from './dify-fields.tsx'
import { PlatformForm } from './platform-form.tsx'
import type { Kind } from './queries.ts'

type Input = Schemas['PlatformInput']

/** The form for a new platform; when it is saved, its drawer opens with its spaces. */
export function CreatePlatform({ kind }: { kind: Kind }) {
  const { t } = useTranslation('platforms')
  const navigate = useNavigate()
  const queries = useQueryClient()
  const check = (body: Input) => call(api.POST('/api/v1/platforms/check', { body }))
  const save = async (body: Input, force: boolean) => {
    const platform = await call(
      api.POST('/api/v1/platforms', { body, params: { query: { force: force ? 'true' : 'false' } } }),
    )
    await queries.invalidateQueries({ queryKey: ['platforms'] })
    // After the form has closed itself.
    setTimeout(() => navigate(`/platforms/${platform.id}`, { replace: true }))
  }
  const common = { title: t(`add.${kind}`), onClose: () => void navigate('/platforms', { replace: true }) }

  return kind === 'dify' ? (
    <PlatformForm<DifyValues>
      {...common}
      initialValues={DIFY_DEFAULTS}
      check={(values) => check(difyInput(values))}
      save={(values, force) => save(difyInput(values), force)}
    >
      <DifyFields />
    </PlatformForm>
  ) : (
    <PlatformForm<CozeValues>
      {...common}
      initialValues={COZE_DEFAULTS}
      check={(values) => check(cozeInput(values))}
      save={(values, force) => save(cozeInput(values), force)}
    >
      <CozeFields />
    </PlatformForm>
  )
}

function difyInput({ name, edition, database, consoleUrl, gatewayUrl, rotateAfterDays }: DifyValues): Input {
  return {
    kind: 'dify',
    name,
    edition,
    database: { ...database, password: database.password ?? '' },
    consoleUrl: consoleUrl || null,
    gatewayUrl: gatewayUrl || null,
    rotateAfterDays: rotateAfterDays ?? null,
  }
}

function cozeInput({
  accountType,
  enterpriseId,
  userId,
  cookie,
  gatewayUrl,
  rotateAfterDays,
  ...values
}: CozeValues): Input {
  return {
    kind: 'coze',
    ...values,
    accountType,
    ...(accountType === 'team' ? { enterpriseId } : userId ? { userId } : {}),
    ...(cookie?.trim() ? { cookie } : {}),
    gatewayUrl: gatewayUrl || null,
    rotateAfterDays: rotateAfterDays ?? null,
  }
}
