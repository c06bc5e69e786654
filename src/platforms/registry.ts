import { ToolferryError } from '../domain/errors.ts'
import type { EgressPolicy } from '../egress/policy.ts'
import { createDifyPlatform, type DifyDatabase } from './dify/dify-platform.ts'
import type { Platform, PlatformKind } from './platform.ts'

/** Where a platform is and how to get in. `settings` is what the store keeps in clear, `credential` the opened secret. */
export type PlatformAccess = {
  kind: PlatformKind
  settings: DifySettings
  credential: string
}

export type DifySettings = {
  edition: 'community' | 'enterprise'
  database: Omit<DifyDatabase, 'password'>
}

type Factory = (access: PlatformAccess, egress: EgressPolicy) => Platform

const FACTORIES: Record<PlatformKind, Factory> = {
  dify: ({ settings, credential }, egress) =>
    createDifyPlatform({ database: { ...settings.database, password: credential }, egress }),
  coze: () => {
    throw new ToolferryError('UnsupportedVersion', 'COZE platforms cannot be used by this version of Toolferry yet.')
  },
}

/** An adapter for one platform. The caller closes it. */
export function createPlatform(access: PlatformAccess, egress: EgressPolicy): Platform {
  return FACTORIES[access.kind](access, egress)
}

/**
 * Adapters by platform, so that the spaces of a run share connections. A platform whose settings or credential changed
 * (`version`) gets a new adapter; the old one is closed once nobody holds it any more.
 */
export function createPlatformPool(options: {
  load: (platformId: string) => Promise<{ version: string; access: PlatformAccess }>
  egress: EgressPolicy
}): { hold: (platformId: string) => Promise<HeldPlatform>; close: () => Promise<void> } {
  const entries = new Map<string, Entry>()

  const letGo = async (entry: Entry) => {
    entry.holders -= 1
    if (entry.retired && entry.holders === 0) await entry.platform.close()
  }
  const retire = async (entry: Entry) => {
    entry.retired = true
    if (entry.holders === 0) await entry.platform.close()
  }

  return {
    async hold(platformId) {
      const { version, access } = await options.load(platformId)
      let entry = entries.get(platformId)
      if (entry === undefined || entry.version !== version) {
        const stale = entry
        entry = { version, platform: createPlatform(access, options.egress), holders: 0, retired: false }
        entries.set(platformId, entry)
        if (stale !== undefined) await retire(stale)
      }
      const held = entry
      held.holders += 1
      let open = true
      return {
        platform: held.platform,
        [Symbol.asyncDispose]: async () => {
          if (!open) return
          open = false
          await letGo(held)
        },
      }
    },
    async close() {
      const all = [...entries.values()]
      entries.clear()
      await Promise.all(all.map(retire))
    },
  }
}

export type HeldPlatform = AsyncDisposable & { platform: Platform }

type Entry = { version: string; platform: Platform; holders: number; retired: boolean }
