import { useQueryClient } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import { useNavigate } from 'react-router'
import { api, call, type Schemas } from '../../api/client.ts'
import { useAsOpened } from '../../components/as-opened.ts'
import { CozeFields, type CozeValues } from './coze-fields.tsx'
import { DifyFields, type DifyValues } from './dify-fields.tsx'
import { PlatformForm } from './platform-form.tsx'
import { cozeSettings, difySettings, type Platform } from './queries.ts'

/** Changes a platform as it was read: whoever was quicker is not overwritten. */
export function EditPlatform(props: { platform: Platform; onClose: () => void }) {
  const { t } = useTranslation('platforms')
  const platform = useAsOpened(props.platform)
  const queries = useQueryClient()
  const navigate = useNavigate()
  const save = async (body: Schemas['PlatformPatch'], force: boolean) => {
    try {
      await call(
        api.PATCH('/api/v1/platforms/{id}', {
          params: {
            path: { id: platform.id },
            query: { force: force ? 'true' : 'false' },
            header: { 'if-match': `"${platform.rowVersion}"` },
          },
          body,
        }),
      )
    } finally {
      // Also when it was refused: opened again, the form shows what somebody else has made of it.
      await queries.invalidateQueries({ queryKey: ['platforms'] })
    }
  }
  const common = {
    title: t('edit.title', { name: platform.name }),
    check: null,
    onClose: props.onClose,
    onGone: () => void navigate('/platforms'),
  }
  const shared = {
    name: platform.name,
    gatewayUrl: platform.gatewayUrl ?? undefined,
    rotateAfterDays: platform.rotateAfterDays,
  }

  if (platform.kind === 'dify') {
    return (
      <PlatformForm<DifyValues>
        {...common}
        initialValues={{ ...shared, ...difySettings(platform) }}
        save={({ database, consoleUrl, gatewayUrl, rotateAfterDays, ...values }, force) =>
          save(
            {
              ...values,
              database: { ...database, password: database.password || undefined },
              consoleUrl: consoleUrl || null,
              gatewayUrl: gatewayUrl || null,
              rotateAfterDays: rotateAfterDays ?? null,
            },
            force,
          )
        }
      >
        <DifyFields keepsPassword />
      </PlatformForm>
    )
  }
  const { baseUrl, accountType, enterpriseId, userId } = cozeSettings(platform)
  return (
    <PlatformForm<CozeValues>
      {...common}
      initialValues={{
        ...shared,
        baseUrl,
        accountType,
        enterpriseId: enterpriseId ?? undefined,
        userId: userId ?? undefined,
      }}
      save={({ accountType: _kept, cookie: _none, gatewayUrl, rotateAfterDays, ...values }, force) =>
        save({ ...values, gatewayUrl: gatewayUrl || null, rotateAfterDays: rotateAfterDays ?? null }, force)
      }
    >
      <CozeFields isNew={false} />
    </PlatformForm>
  )
}
