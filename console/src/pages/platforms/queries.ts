import { queryOptions } from '@tanstack/react-query'
import { api, call, type Schemas } from '../../api/client.ts'

export type Platform = Schemas['Platform']
export type PlatformCheck = Schemas['PlatformCheck']
export type Kind = Platform['kind']

/** What the API keeps in `settings` of a Dify platform. */
export type DifySettings = {
  edition: 'community' | 'enterprise'
  database: Schemas['DifyDatabase']
  /** Undefined: registered before there were any. */
  consoleUrl?: string | null
}

/** And of a COZE platform. */
export type CozeSettings = {
  baseUrl: string
  accountType: 'team' | 'personal'
  enterpriseId: string | null
  userId: string | null
  cookieUser: { id: string; name: string } | null
}

export const platformQuery = (id: string) =>
  queryOptions({
    queryKey: ['platforms', id],
    queryFn: () => call(api.GET('/api/v1/platforms/{id}', { params: { path: { id } } })),
  })

export const settingsQuery = queryOptions({
  queryKey: ['settings'],
  queryFn: () => call(api.GET('/api/v1/settings')),
  staleTime: 60_000,
})

export function difySettings(platform: Platform): DifySettings {
  return platform.settings as DifySettings
}

export function cozeSettings(platform: Platform): CozeSettings {
  return platform.settings as CozeSettings
}

/** Where a platform points to, on one line. */
export function placeOf(platform: Platform): string {
  if (platform.kind === 'dify') {
    const { host, port, database } = difySettings(platform).database
    return `${host}:${port}/${database}`
  }
  const { baseUrl, enterpriseId, userId } = cozeSettings(platform)
  return [new URL(baseUrl).host, enterpriseId ?? userId].filter((part) => part !== null).join(' · ')
}
