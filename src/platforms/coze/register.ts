import { z } from 'zod'
import { ToolferryError } from '../../domain/errors.ts'
import type { PlatformChange, SpaceRef } from '../platform.ts'
import type { PluginInfo } from './answers.ts'
import { pluginInfo, registerPlugin } from './calls.ts'
import { CozeError, isFault } from './errors.ts'
import { findByName } from './library.ts'
import { NAME_ATTEMPTS, numberedName } from './normalise.ts'
import { fieldOf, isMcp, withAuthorization } from './plugin.ts'
import type { WriteContext } from './writer.ts'

/** How long COZE's index may lag: so long a plugin is looked for before another one is registered (coze.md §4). */
const INDEX_LAG_MS = 30_000
/** After a crash nobody knows when the call ended; at the latest after its time limit. */
const AFTER_CRASH_MS = INDEX_LAG_MS + 30_000
const LOOK_AGAIN_MS = 3_000
const REGISTRATIONS = 2

/** What is about to be registered, recorded before: with it a plugin is found again whose id we never heard. */
export type RegisterIntent = { name: string; url: string; atMs: number }

const intentSchema = z.object({ name: z.string(), url: z.string(), atMs: z.number() })
const REGISTERING = 'registering'

/** The intent of an attempt that did not live to hear the answer; null when there is none. */
export function intentOf(checkpoint: PlatformChange['checkpoint']): RegisterIntent | null {
  if (checkpoint?.step !== REGISTERING) return null
  return intentSchema.safeParse(checkpoint.data).data ?? null
}

export type FoundPlugin = { pluginId: string; info: PluginInfo }

/** What became of an earlier attempt: waits for the index until it is sure that there is nothing. */
export async function findEarlier(
  context: WriteContext,
  space: SpaceRef,
  intent: RegisterIntent,
): Promise<FoundPlugin | null> {
  return await look(context, space, intent, intent.atMs + AFTER_CRASH_MS)
}

/**
 * Registers the plugin, once. It has no key of its own against doing it twice (coze.md §0.4), so when the answer is lost, what
 * became of it is looked up before anything else; only when the index has had its time and shows nothing is it tried again.
 */
export async function register(
  context: WriteContext,
  space: SpaceRef,
  change: PlatformChange,
): Promise<{ pluginId: string; name: string }> {
  const { calls, clock } = context
  const { fields } = change.desired
  const url = fieldOf(fields, 'url')
  let number = 1
  let lost: unknown = null
  for (let sent = 0; sent < REGISTRATIONS; ) {
    const intent: RegisterIntent = { name: numberedName(fieldOf(fields, 'name'), number), url, atMs: clock.now() }
    // Asked before the intent as well: without the lease there is nothing to intend.
    await calls.fence?.()
    await change.saveCheckpoint(REGISTERING, intent)
    try {
      const pluginId = await registerPlugin(calls, space.remoteId, {
        name: intent.name,
        desc: fieldOf(fields, 'description'),
        url,
        commonParams: withAuthorization({}, fieldOf(fields, 'authorization')),
      })
      return { pluginId, name: intent.name }
    } catch (error) {
      if (isFault(error, 'duplicateName') && lost === null && number < NAME_ATTEMPTS) {
        number += 1
        continue
      }
      // A duplicate after a lost answer may well be our own, not listed yet: never a second name for it.
      if (!isFault(error, 'lost', 'busy', 'duplicateName')) {
        // COZE said no, or never heard of it: there is nothing to be looked for later.
        if (lost === null && surelyNot(error)) await change.clearCheckpoint()
        throw error
      }
      lost = error
      sent += 1
      const found = await look(context, space, intent, clock.now() + INDEX_LAG_MS)
      if (found !== null) return { pluginId: found.pluginId, name: intent.name }
      if (isFault(error, 'duplicateName')) {
        throw new ToolferryError(
          'Unavailable',
          'COZE has the plugin but does not list it yet; it is looked for again.',
          {
            cause: error,
          },
        )
      }
    }
  }
  throw lost
}

/** A code of COZE's own, or a call that never got through. A page in place of an answer tells nothing. */
function surelyNot(error: unknown): boolean {
  return error instanceof CozeError && (error.code !== null || isFault(error, 'notSent', 'rateLimited'))
}

/** Ours is the one of that name with the very address that we sent, made by us; nothing less will do. */
async function look(
  { calls, clock }: WriteContext,
  space: SpaceRef,
  intent: RegisterIntent,
  untilMs: number,
): Promise<FoundPlugin | null> {
  const others = new Set<string>()
  for (;;) {
    const items = await findByName(calls, space.remoteId, intent.name)
    for (const { res_id: pluginId } of items.sort((a, b) => b.edit_time - a.edit_time)) {
      if (others.has(pluginId)) continue
      const info = await pluginInfo(calls, pluginId)
      // Listed, but not known yet: it is looked at again.
      if (info === null) continue
      if (isMcp(info) && info.meta_info.url === intent.url && info.creator?.self !== false) return { pluginId, info }
      others.add(pluginId)
    }
    if (clock.now() >= untilMs) return null
    await clock.sleep(LOOK_AGAIN_MS, calls.signal)
  }
}
