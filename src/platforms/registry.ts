import type { EgressPolicy } from '../egress/policy.ts'
import type { CozeBudget } from './coze/budget.ts'
import { type CozeSettings, createCozePlatform } from './coze/coze-platform.ts'
import { createDifyPlatform, type DifyDatabase } from './dify/dify-platform.ts'
import type { Platform } from './platform.ts'

/** Where a platform is and how to get in. `settings` is what the store keeps in clear, `credential` the opened secret. */
export type PlatformAccess =
  | { kind: 'dify'; settings: DifySettings; credential: string }
  | { kind: 'coze'; settings: CozeSettings; credential: string }

export type DifySettings = {
  edition: 'community' | 'enterprise'
  database: Omit<DifyDatabase, 'password'>
}

/** What adapters need from the rest of the installation. */
export type PlatformSurroundings = {
  egress: EgressPolicy
  /** The pace of calls to COZE, shared by all processes. */
  cozeBudget: CozeBudget
}

/** An adapter for one platform. The caller closes it. Throws InvalidDesiredState when the access cannot be right. */
export function createPlatform(access: PlatformAccess, surroundings: PlatformSurroundings): Platform {
  const { egress, cozeBudget } = surroundings
  switch (access.kind) {
    case 'dify': {
      const { settings, credential } = access
      return createDifyPlatform({ database: { ...settings.database, password: credential }, egress })
    }
    case 'coze':
      return createCozePlatform({ settings: access.settings, cookie: access.credential, egress, budget: cozeBudget })
  }
}

/**
 * Adapters by platform, so that the spaces of a run share connections. A platform whose settings or credential changed
 * (`version`) gets a new adapter; the old one is closed once nobody holds it any more. Who has just read the version says it, and
 * nothing is read again while it is the adapter's.
 */
export function createPlatformPool(options: {
  load: (platformId: string) => Promise<{ version: string; access: PlatformAccess }>
  surroundings: PlatformSurroundings
}): { hold: (platformId: string, version?: string) => Promise<HeldPlatform>; close: () => Promise<void> } {
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
    async hold(platformId, seen) {
      let entry = entries.get(platformId)
      if (entry === undefined || entry.version !== seen) {
        const { version, access } = await options.load(platformId)
        entry = entries.get(platformId)
        if (entry === undefined || entry.version !== version) {
          const stale = entry
          entry = { version, platform: createPlatform(access, options.surroundings), holders: 0, retired: false }
          entries.set(platformId, entry)
          if (stale !== undefined) await retire(stale)
        }
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
