import { useQuery } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import { Link } from 'react-router'
import { api, call, type Schemas } from '../api/client.ts'
import { useRole } from '../api/session.ts'
import { Copyable } from './copyable.tsx'

type Props = {
  platformId: string
  /** The space's id on the platform; null: not known (yet). */
  spaceRemoteId: string | null
  remoteId: string
}

/** An object on a platform: its id, and where to open it there, in a new tab; or what is missing for that. */
export function PlatformObject({ platformId, spaceRemoteId, remoteId }: Props) {
  const { t } = useTranslation()
  const isAdmin = useRole('admin')
  const { data: platform } = useQuery({
    queryKey: ['platforms', platformId],
    queryFn: () => call(api.GET('/api/v1/platforms/{id}', { params: { path: { id: platformId } } })),
  })
  const link = platform === undefined ? null : addressOf(platform, spaceRemoteId, remoteId)
  return (
    <>
      <Copyable text={remoteId} />
      {link === null ? null : (
        <div>
          <a href={link} target="_blank" rel="noreferrer">
            {t(platform?.kind === 'dify' ? 'remoteObject.openTools' : 'remoteObject.open')}
          </a>
        </div>
      )}
      {platform?.kind === 'dify' && link === null ? (
        <>
          <div className="muted">{t('remoteObject.noConsole')}</div>
          {isAdmin ? <Link to={`/platforms/${platformId}?edit`}>{t('remoteObject.setConsole')}</Link> : null}
        </>
      ) : null}
    </>
  )
}

/**
 * A COZE plugin has an address of its own (coze.md §1). Dify's MCP tools are all on one page, under the console's own address, in the
 * workspace that the reader last chose (`/tools?category=mcp`: getLink in Dify's web/app/components/tools/provider/empty.tsx, since 1.6).
 */
function addressOf(platform: Schemas['Platform'], spaceRemoteId: string | null, remoteId: string): string | null {
  const { baseUrl, consoleUrl } = platform.settings
  if (platform.kind === 'dify') return typeof consoleUrl === 'string' ? `${consoleUrl}/tools?category=mcp` : null
  if (typeof baseUrl !== 'string' || spaceRemoteId === null) return null
  return `${baseUrl}/space/${encodeURIComponent(spaceRemoteId)}/plugin/${encodeURIComponent(remoteId)}`
}
