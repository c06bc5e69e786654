import { z } from 'zod'
import type { PlatformChange, SpaceRef } from '../platform.ts'
import { nextVersion, pluginInfo, publishedVersions, publishPlugin } from './calls.ts'
import { isFault } from './errors.ts'
import type { WriteContext } from './writer.ts'

const ATTEMPTS = 3
const LOOK_AGAIN_MS = 3_000
const PUBLISHING = 'publishing'
const MAX_VERSION_NAME = 40

const publishingSchema = z.object({ versionName: z.string() })

/** The version that an earlier attempt was about to publish; null when there is none. */
export function publishingVersion(checkpoint: PlatformChange['checkpoint']): string | null {
  if (checkpoint?.step !== PUBLISHING) return null
  return publishingSchema.safeParse(checkpoint.data).data?.versionName ?? null
}

export async function isPublished(
  { calls }: WriteContext,
  space: SpaceRef,
  pluginId: string,
  versionName: string,
): Promise<boolean> {
  return (await publishedVersions(calls, pluginId, space.remoteId)).includes(versionName)
}

/**
 * Publishes the draft under COZE's own next version and answers it. When the answer is lost, the history of versions tells
 * whether it took place (coze.md §4).
 */
export async function publish(
  context: WriteContext,
  space: SpaceRef,
  pluginId: string,
  change: PlatformChange,
  checkpointData: Record<string, unknown>,
): Promise<string> {
  const { calls, clock } = context
  let versionName = await freshVersion(context, space, pluginId)
  for (let attempt = 1; ; attempt++) {
    await change.saveCheckpoint(PUBLISHING, { ...checkpointData, versionName })
    try {
      await publishPlugin(calls, pluginId, versionName)
      return versionName
    } catch (error) {
      if (attempt === ATTEMPTS) throw error
      if (isFault(error, 'versionTooLow')) {
        const [newest] = await publishedVersions(calls, pluginId, space.remoteId)
        if (newest === undefined) throw error
        versionName = versionAfter(newest, clock.now())
        continue
      }
      // Some refuse to publish what is published already.
      if (isFault(error, 'input', 'refused') && (await standsPublished(context, pluginId))) return versionName
      if (!isFault(error, 'lost', 'busy')) throw error
      await clock.sleep(LOOK_AGAIN_MS, calls.signal)
      if (await isPublished(context, space, pluginId, versionName)) return versionName
      versionName = await freshVersion(context, space, pluginId)
    }
  }
}

async function standsPublished({ calls }: WriteContext, pluginId: string): Promise<boolean> {
  const info = await pluginInfo(calls, pluginId)
  return info?.published === true && !info.status
}

/** COZE's own; when it does not say, one by the time, which lies below every hand-made version (coze.md §1.3 no. 13). */
async function freshVersion({ calls, clock }: WriteContext, space: SpaceRef, pluginId: string): Promise<string> {
  try {
    const name = await nextVersion(calls, pluginId, space.remoteId)
    if (name !== '' && name.length <= MAX_VERSION_NAME) return name
  } catch (error) {
    if (!isFault(error, 'refused', 'input', 'notFound')) throw error
  }
  return versionByTime(clock.now())
}

/** v1.2.3 → v1.2.4; anything else by the time. */
function versionAfter(version: string, nowMs: number): string {
  const match = /^(v?\d+\.\d+\.)(\d+)$/.exec(version)
  if (match === null) return versionByTime(nowMs)
  return `${match[1]}${BigInt(match[2] ?? '0') + 1n}`
}

function versionByTime(nowMs: number): string {
  return `v0.0.${new Date(nowMs).toISOString().replace(/\D/g, '').slice(0, 14)}`
}
