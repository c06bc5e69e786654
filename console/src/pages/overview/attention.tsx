import { RightOutlined, WarningFilled } from '@ant-design/icons'
import { useTranslation } from 'react-i18next'
import { Link } from 'react-router'
import { api, call, type Schemas } from '../../api/client.ts'
import { useAll } from '../../api/lists.ts'

type Item = Schemas['Attention']

/** What somebody should look at, each a link to where it is put right. */
export function Attention({ items }: { items: Item[] }) {
  const { t } = useTranslation('overview')
  const platforms = useAll(
    ['platforms'],
    (cursor) => call(api.GET('/api/v1/platforms', { params: { query: { limit: 200, cursor } } })),
    { enabled: items.length > 0 },
  )
  if (items.length === 0) return null
  const nameOf = (id: string | null) => platforms.data?.find((platform) => platform.id === id)?.name ?? '…'
  return (
    <section className="panel attention" aria-label={t('attention.title')}>
      <h2>{t('attention.title')}</h2>
      <ul>
        {items.map((item) => (
          <li key={`${item.kind} ${item.platformId} ${item.syncId} ${item.instance?.id}`}>
            <Link to={addressOf(item)}>
              <WarningFilled className={item.kind === 'failed' ? 'attention-bad' : 'attention-warn'} />
              <span>
                {t(`attention.${item.kind}`, {
                  count: item.count,
                  platform: nameOf(item.platformId),
                  server: item.instance?.name,
                })}
              </span>
              <RightOutlined className="attention-go" />
            </Link>
          </li>
        ))}
      </ul>
    </section>
  )
}

function addressOf({ kind, platformId, syncId, instance }: Item): string {
  switch (kind) {
    case 'platform_credential':
    case 'credential_expiring':
      return `/platforms/${platformId}?credential`
    case 'run_waiting':
      return `/syncs/${syncId}`
    case 'still_used':
    case 'rotation_unfinished':
    case 'token_expires_in_1_day':
    case 'token_expires_in_7_days':
      return `/access?attention=${kind}`
    case 'client_token_expires':
      return `/instances/${instance?.id}/access`
    case 'drifted':
    case 'tools_changed':
      return `/drift?platform=${platformId}`
    default:
      return `/access?platform=${platformId}&state=${kind}`
  }
}
