import { LogoutOutlined, UserOutlined } from '@ant-design/icons'
import { useQuery } from '@tanstack/react-query'
import { Button, Dropdown } from 'antd'
import { useTranslation } from 'react-i18next'
import { meQuery, useSignOut } from '../api/session.ts'
import { useProblemToast } from '../components/problem-text.ts'

/** Who is signed in, with what role; signing out. */
export function UserMenu({ compact = false }: { compact?: boolean }) {
  const { t } = useTranslation()
  const { data: me } = useQuery(meQuery)
  const signOut = useSignOut()
  const tell = useProblemToast()
  if (me == null) return null
  return (
    <Dropdown
      trigger={['click']}
      placement="topLeft"
      menu={{
        items: [
          {
            key: 'who',
            type: 'group',
            label: t('shell.signedInAs', { name: me.name, role: t(`roles.${me.role}`) }),
          },
          {
            key: 'out',
            icon: <LogoutOutlined />,
            label: t('shell.signOut'),
            onClick: () => void signOut().catch(tell),
          },
        ],
      }}
    >
      <Button
        type="text"
        className="user-button"
        icon={<UserOutlined />}
        {...(compact ? { 'aria-label': t('shell.account') } : {})}
      >
        {compact ? null : (
          <span className="user-text">
            <span className="clip">{me.name}</span>
            <span className="user-role">{t(`roles.${me.role}`)}</span>
          </span>
        )}
      </Button>
    </Dropdown>
  )
}
