import {
  ApiOutlined,
  AuditOutlined,
  CalendarOutlined,
  ClusterOutlined,
  DashboardOutlined,
  DiffOutlined,
  KeyOutlined,
  NotificationOutlined,
  ProfileOutlined,
  SafetyOutlined,
  SettingOutlined,
  SyncOutlined,
} from '@ant-design/icons'
import type { ReactNode } from 'react'
import type { Role } from '../api/session.ts'

/** `label` is a key of common: nav.… */
export type NavItem = { to: string; label: string; icon: ReactNode; needs?: Role }

/** The navigation, in groups, in the order of a newcomer's way. */
export const NAV: { group: string | null; items: NavItem[] }[] = [
  {
    group: null,
    items: [{ to: '/', label: 'overview', icon: <DashboardOutlined /> }],
  },
  {
    group: 'connect',
    items: [
      { to: '/platforms', label: 'platforms', icon: <ClusterOutlined /> },
      { to: '/instances', label: 'instances', icon: <ApiOutlined /> },
    ],
  },
  {
    group: 'sync',
    items: [
      { to: '/syncs', label: 'syncs', icon: <SyncOutlined /> },
      { to: '/profiles', label: 'profiles', icon: <CalendarOutlined /> },
      { to: '/drift', label: 'drift', icon: <DiffOutlined /> },
    ],
  },
  {
    group: 'control',
    items: [
      { to: '/access', label: 'access', icon: <SafetyOutlined /> },
      { to: '/gateway-log', label: 'gatewayLog', icon: <ProfileOutlined /> },
      { to: '/audit', label: 'audit', icon: <AuditOutlined />, needs: 'admin' },
    ],
  },
  {
    group: 'installation',
    items: [
      { to: '/api-keys', label: 'apiKeys', icon: <KeyOutlined />, needs: 'admin' },
      { to: '/webhooks', label: 'webhooks', icon: <NotificationOutlined />, needs: 'admin' },
      { to: '/settings', label: 'settings', icon: <SettingOutlined /> },
    ],
  },
]
