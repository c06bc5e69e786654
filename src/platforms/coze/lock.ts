import { ToolferryError } from '../../domain/errors.ts'
import type { PluginInfo } from './answers.ts'
import { lockPlugin, unlockPlugin } from './calls.ts'
import { CozeError, isFault } from './errors.ts'
import { describePlugin } from './plugin.ts'
import type { WriteContext } from './writer.ts'

/** How long somebody who is editing the plugin is waited for. */
const WAIT_MS = 30_000
const LOOK_AGAIN_MS = 5_000

/**
 * Works under the plugin's edit lock, which tells people in COZE's editor that it is being written. The lock is a courtesy: a
 * call for it that fails is no reason to stop (coze.md §2.11); somebody else's is, with that person's name.
 */
export async function withEditLock<T>(
  context: WriteContext,
  subject: { pluginId: string; info: PluginInfo } | null,
  work: () => Promise<T>,
): Promise<T> {
  if (subject === null) return await work()
  const locked = await lock(context, subject)
  try {
    return await work()
  } finally {
    if (locked) await unlock(context, subject.pluginId)
  }
}

async function lock(context: WriteContext, subject: { pluginId: string; info: PluginInfo }): Promise<boolean> {
  const { calls, clock } = context
  const untilMs = clock.now() + WAIT_MS
  for (;;) {
    let other: { holder: string } | null
    try {
      other = await lockPlugin(calls, subject.pluginId)
    } catch (error) {
      if (!(error instanceof CozeError) || isFault(error, 'login', 'risk', 'rateLimited')) throw error
      return false
    }
    if (other === null) return true
    if (clock.now() >= untilMs) {
      throw new ToolferryError(
        'Conflict',
        `${other.holder} is editing the plugin ${describePlugin(subject.pluginId, subject.info)} in COZE. Ask them to leave the editor, then retry.`,
      )
    }
    await clock.sleep(LOOK_AGAIN_MS, calls.signal)
  }
}

/** A lock that stays runs out by itself. */
async function unlock({ calls }: WriteContext, pluginId: string): Promise<void> {
  if (calls.signal.aborted) return
  try {
    await unlockPlugin(calls, pluginId)
  } catch (error) {
    if (!(error instanceof ToolferryError) && !calls.signal.aborted) throw error
  }
}
