import { MoreOutlined } from '@ant-design/icons'
import { Button, Dropdown } from 'antd'
import { useRef } from 'react'
import { useTranslation } from 'react-i18next'
import { useNavigate } from 'react-router'
import { useRole } from '../../api/session.ts'
import type { Binding } from './queries.ts'
import { mayAdopt, mayRemove, mayRotate, nameOf } from './tokens.ts'

/** What else can be done with one authorization; what only looks is there for everybody. */
export function RowActions(props: {
  binding: Binding
  onTokens: () => void
  onRotate: () => void
  onAdopt: () => void
  onRemove: () => void
}) {
  const { t } = useTranslation('access')
  const { binding, onTokens, onRotate, onAdopt, onRemove } = props
  const mayChange = useRole('operator')
  const navigate = useNavigate()
  const name = nameOf(binding)
  const button = useRef<HTMLButtonElement>(null)
  return (
    <Dropdown
      trigger={['click']}
      menu={{
        // A dialog gives the focus back to where it was: not to the menu, which is closed by then.
        onClick: () => button.current?.focus(),
        items: [
          { key: 'tokens', label: t('menu.tokens'), onClick: onTokens },
          {
            key: 'calls',
            label: t('menu.calls'),
            onClick: () => void navigate(`/gateway-log?binding=${binding.id}`),
          },
          ...(mayChange && mayRotate(binding) ? [{ key: 'rotate', label: t('menu.rotate'), onClick: onRotate }] : []),
          ...(mayChange && mayAdopt(binding) ? [{ key: 'adopt', label: t('menu.adopt'), onClick: onAdopt }] : []),
          ...(mayChange && mayRemove(binding)
            ? [{ key: 'remove', label: t('menu.remove'), danger: true, onClick: onRemove }]
            : []),
        ],
      }}
    >
      <Button ref={button} size="small" icon={<MoreOutlined />} aria-label={t('moreOf', { name })} />
    </Dropdown>
  )
}
