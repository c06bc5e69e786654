import type { Clock } from '../../domain/clock.ts'
import type { PluginInfo } from './answers.ts'
import type { LibraryHabits } from './library.ts'
import type { CozePlugin, OnlinePlugin } from './plugin.ts'

/**
 * What one adapter remembers between calls, so that it need not ask again. Only ever saves calls: what is missing here is
 * asked for.
 */
export type CozeMemory = {
  habits: LibraryHabits
  /** A plugin's details while the list says that it was not edited since. */
  details(pluginId: string, editTimeS: number | undefined): PluginInfo | null
  keepDetails(pluginId: string, editTimeS: number | undefined, info: PluginInfo): void
  forget(pluginId: string): void
  /** What this adapter has published and nobody has read back yet. */
  published: Map<string, PublishedPlugin>
  /** Plugin id → the space (remote id) that it was seen in: COZE’s details do not tell. */
  spaceOf: Map<string, string>
  /** What the latest reading found in the way of a plugin yet to be made; null = nothing. */
  inTheWay: InTheWay
  /** What agents see of a plugin, as the latest reading of its space found it; each is used once. */
  seenOnline: Map<string, OnlinePlugin>
}

export type InTheWay = {
  note(spaceId: string, url: string, message: string | null): void
  /** undefined: nobody has looked lately. */
  recall(spaceId: string, url: string): string | null | undefined
}

export type PublishedPlugin = { plugin: CozePlugin; versionName: string }

/**
 * Edit times are whole seconds: details read right after an edit may miss a second edit in the same second, so they are kept
 * only once that second is well past (and by more than two clocks differ).
 */
const SETTLED_AFTER_MS = 60_000
/** From the plan of a space to the writing of its last target. */
const LOOK_LASTS_MS = 30 * 60_000

export function createMemory(clock: Clock): CozeMemory {
  const details = new Map<string, { editTimeS: number; info: PluginInfo }>()
  const looks = new Map<string, { atMs: number; message: string | null }>()
  return {
    habits: { mcpFilter: 'unknown' },
    details(pluginId, editTimeS) {
      const kept = details.get(pluginId)
      return kept !== undefined && kept.editTimeS === editTimeS ? kept.info : null
    },
    keepDetails(pluginId, editTimeS, info) {
      details.delete(pluginId)
      if (editTimeS === undefined || editTimeS === 0) return
      if (clock.now() - editTimeS * 1000 >= SETTLED_AFTER_MS) details.set(pluginId, { editTimeS, info })
    },
    forget(pluginId) {
      details.delete(pluginId)
    },
    published: new Map(),
    spaceOf: new Map(),
    inTheWay: {
      note: (spaceId, url, message) => void looks.set(`${spaceId} ${url}`, { atMs: clock.now(), message }),
      recall(spaceId, url) {
        const look = looks.get(`${spaceId} ${url}`)
        return look === undefined || clock.now() - look.atMs > LOOK_LASTS_MS ? undefined : look.message
      },
    },
    seenOnline: new Map(),
  }
}
