import { MoreOutlined } from '@ant-design/icons'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { App, Button, Dropdown } from 'antd'
import { useRef, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useNavigate } from 'react-router'
import { api, call, type Schemas } from '../../api/client.ts'
import { useRole } from '../../api/session.ts'
import { useProblemToast } from '../../components/problem-text.ts'
import { RotateDialog } from '../access/rotate-dialog.tsx'

/** What can be done with a whole space: look at its access, cut it off or let it in again, replace its tokens. */
export function SpaceActions({ space }: { space: Schemas['Space'] }) {
  const { t } = useTranslation('platforms')
  const { modal, message } = App.useApp()
  const tell = useProblemToast()
  const navigate = useNavigate()
  const queries = useQueryClient()
  const mayChange = useRole('operator')
  const [isRotating, setRotating] = useState(false)
  const button = useRef<HTMLButtonElement>(null)
  const { id, name, disabledAt } = space
  const turning = useMutation({
    mutationFn: (enabled: boolean) => {
      const options = { params: { path: { id } }, body: {} }
      return call(
        enabled ? api.POST('/api/v1/spaces/{id}/enable', options) : api.POST('/api/v1/spaces/{id}/disable', options),
      )
    },
    onSuccess: ({ bindingIds, effective }, enabled) => {
      const count = bindingIds.length
      if (effective) message.success(t(enabled ? 'space.letIn' : 'space.cutOff', { count }))
      else message.warning(t('space.notYet'))
    },
    onError: tell,
    onSettled: async () => {
      await queries.invalidateQueries({ queryKey: ['platforms'] })
      await queries.invalidateQueries({ queryKey: ['bindings'] })
    },
  })
  const askToCutOff = () =>
    modal.confirm({
      title: t('space.cutOffQuestion', { name }),
      content: t('space.cutOffMeaning'),
      okText: t('space.doCutOff'),
      okButtonProps: { danger: true },
      cancelText: t('common:cancel'),
      onOk: () => turning.mutate(false),
    })
  const changes = [
    { key: 'rotate', label: t('space.rotate'), onClick: () => setRotating(true) },
    disabledAt === null
      ? { key: 'off', label: t('space.doCutOff'), danger: true, onClick: () => void askToCutOff() }
      : { key: 'on', label: t('space.doLetIn'), onClick: () => turning.mutate(true) },
  ]
  return (
    <>
      <Dropdown
        trigger={['click']}
        menu={{
          // A dialog gives the focus back to where it was: not to the menu, which is closed by then.
          onClick: () => button.current?.focus(),
          items: [
            { key: 'access', label: t('space.access'), onClick: () => void navigate(`/access?space=${id}`) },
            ...(mayChange ? changes : []),
          ],
        }}
      >
        <Button
          ref={button}
          size="small"
          icon={<MoreOutlined />}
          loading={turning.isPending}
          aria-label={t('space.moreOf', { name })}
        />
      </Dropdown>
      {isRotating ? <RotateDialog scope={{ spaceId: id, name }} onClose={() => setRotating(false)} /> : null}
    </>
  )
}
