import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { App, Button, Popconfirm } from 'antd'
import type { TFunction } from 'i18next'
import { useTranslation } from 'react-i18next'
import { useNavigate, useSearchParams } from 'react-router'
import { api, call } from '../../api/client.ts'
import { useRole } from '../../api/session.ts'
import { Copyable } from '../../components/copyable.tsx'
import { DeleteDialog } from '../../components/delete-dialog.tsx'
import { Facts } from '../../components/facts.tsx'
import { Loading } from '../../components/loading.tsx'
import { Drawer } from '../../components/overlays.tsx'
import { ProblemAlert } from '../../components/problem-alert.tsx'
import { useProblemToast } from '../../components/problem-text.ts'
import { Time } from '../../components/time.tsx'
import { CheckResult } from './check-result.tsx'
import { CredentialForm } from './credential-form.tsx'
import { CredentialState } from './credential-state.tsx'
import { EditPlatform } from './edit-platform.tsx'
import { KindMark } from './kind-mark.tsx'
import { cozeSettings, difySettings, type Platform, placeOf, platformQuery } from './queries.ts'
import { Spaces } from './spaces.tsx'

/** One platform: where it points to, its credential, its spaces. ?edit, ?credential and ?delete open the forms. */
export function PlatformDrawer({ id }: { id: string }) {
  const { t } = useTranslation('platforms')
  const navigate = useNavigate()
  const [search, setSearch] = useSearchParams()
  const { data: platform, error } = useQuery(platformQuery(id))
  const close = () => void navigate('/platforms')
  const closeForm = () => setSearch({}, { replace: true })
  // The overview leads everybody to a credential that has ended; only an admin can give another one.
  const isAdmin = useRole('admin')
  return (
    <Drawer
      open
      size={760}
      onClose={close}
      title={
        platform === undefined ? (
          t('title')
        ) : (
          <span className="platform-name">
            <KindMark kind={platform.kind} /> {platform.name}
          </span>
        )
      }
    >
      {error === null ? null : <ProblemAlert error={error} />}
      {platform === undefined && error === null ? <Loading /> : null}
      {platform === undefined ? null : (
        <>
          <Details platform={platform} />
          {isAdmin && search.has('edit') ? <EditPlatform platform={platform} onClose={closeForm} /> : null}
          {isAdmin && search.has('delete') ? <DeletePlatform platform={platform} onClose={closeForm} /> : null}
          {isAdmin && search.has('credential') ? <CredentialForm platform={platform} onClose={closeForm} /> : null}
        </>
      )}
    </Drawer>
  )
}

function Details({ platform }: { platform: Platform }) {
  const { t } = useTranslation('platforms')
  const [, setSearch] = useSearchParams()
  const queries = useQueryClient()
  const isAdmin = useRole('admin')
  const isOperator = useRole('operator')
  const checking = useMutation({
    mutationFn: () => call(api.POST('/api/v1/platforms/{id}/check', { params: { path: { id: platform.id } } })),
    onSettled: () => queries.invalidateQueries({ queryKey: ['platforms'] }),
  })
  /** What an earlier check found is not said of what is changed now. */
  const open = (form: 'edit' | 'credential' | 'delete') => {
    checking.reset()
    setSearch({ [form]: '' }, { replace: true })
  }
  return (
    <div className="stack">
      <div className="row">
        {isOperator ? (
          <Button onClick={() => checking.mutate()} loading={checking.isPending}>
            {t('actions.check')}
          </Button>
        ) : null}
        {isAdmin ? (
          <>
            <Button onClick={() => open('edit')}>{t('common:edit')}</Button>
            <Button onClick={() => open('credential')}>
              {t(platform.kind === 'dify' ? 'actions.password' : 'actions.cookie')}
            </Button>
            {platform.hasCredential ? <ForgetCredential platform={platform} /> : null}
            <Button danger onClick={() => open('delete')}>
              {t('common:delete')}
            </Button>
          </>
        ) : null}
      </div>
      {checking.error === null ? null : <ProblemAlert error={checking.error} />}
      {checking.data === undefined ? null : <CheckResult check={checking.data} />}
      <Facts
        items={[
          { label: t('columns.place'), value: <Copyable text={placeOf(platform)} /> },
          { label: t('columns.credential'), value: <CredentialState platform={platform} /> },
          { label: t('columns.gateway'), value: <Copyable text={platform.effectiveGatewayUrl} /> },
          ...kindFacts(platform, t),
          ...(platform.rotateAfterDays === null
            ? []
            : [{ label: t('form.rotateAfterDays'), value: platform.rotateAfterDays || t('rotation.never') }]),
          { label: t('columns.checked'), value: <Time at={platform.checkedAt} /> },
        ]}
      />
      <Spaces platform={platform} />
    </div>
  )
}

/** The sealed password or cookie is dropped, for one that shall not be kept any longer; the platform stays registered. */
function ForgetCredential({ platform: { id, kind } }: { platform: Platform }) {
  const { t } = useTranslation('platforms')
  const { message } = App.useApp()
  const tell = useProblemToast()
  const queries = useQueryClient()
  const forgetting = useMutation({
    mutationFn: () => call(api.DELETE('/api/v1/platforms/{id}/credential', { params: { path: { id } } })),
    onSuccess: () => message.success(t('forget.done')),
    onError: tell,
    onSettled: () => queries.invalidateQueries({ queryKey: ['platforms'] }),
  })
  return (
    <Popconfirm
      title={t(`forget.${kind}`)}
      description={<div className="forget-meaning">{t('forget.meaning')}</div>}
      okText={t('forget.do')}
      okButtonProps={{ danger: true }}
      cancelText={t('common:cancel')}
      onConfirm={() => forgetting.mutate()}
    >
      <Button loading={forgetting.isPending}>{t(`forget.${kind}`)}</Button>
    </Popconfirm>
  )
}

function DeletePlatform({ platform, onClose }: { platform: Platform; onClose: () => void }) {
  const { t } = useTranslation('platforms')
  const queries = useQueryClient()
  const navigate = useNavigate()
  return (
    <DeleteDialog
      title={t('delete.title', { name: platform.name })}
      text={t('delete.text')}
      remove={async (query) =>
        (await call(api.DELETE('/api/v1/platforms/{id}', { params: { path: { id: platform.id }, query } }))) ?? null
      }
      done={t('delete.done', { name: platform.name })}
      onDeleted={async () => {
        await navigate('/platforms')
        await queries.invalidateQueries()
      }}
      onClose={onClose}
      onGone={() => void navigate('/platforms')}
    />
  )
}

function kindFacts(platform: Platform, t: TFunction<'platforms'>) {
  if (platform.kind === 'dify') {
    const { edition, database, consoleUrl } = difySettings(platform)
    return [
      ...(consoleUrl == null
        ? []
        : [
            {
              label: t('form.consoleUrl'),
              value: (
                <a href={consoleUrl} target="_blank" rel="noreferrer">
                  {consoleUrl}
                </a>
              ),
            },
          ]),
      { label: t('form.edition'), value: t(`editions.${edition}`) },
      { label: t('form.user'), value: <code>{database.user}</code> },
      { label: t('form.tls'), value: t(`tls.${database.tls ?? 'prefer'}`) },
    ]
  }
  const { accountType, cookieUser } = cozeSettings(platform)
  return [
    { label: t('form.accountType'), value: t(`accounts.${accountType}`) },
    { label: t('cookie.user'), value: cookieUser === null ? '–' : `${cookieUser.name} (${cookieUser.id})` },
  ]
}
