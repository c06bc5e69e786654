import type { Call, Endpoint } from './endpoint.ts'
import { long, optionalBool, optionalInt, optionalText, pageOf, requiredId } from './endpoint.ts'
import { creatorOf } from './library-endpoints.ts'
import { checkTools, isGreaterVersion, nextVersion, releaseDraft } from './plugin-life.ts'
import { charCount } from './rules.ts'
import { canEdit, lockHolder, pluginFor, pluginToEdit, refusal } from './world.ts'

/** Publishing, versions, locks, rights (coze.md §2.8, §2.11, §2.12, §2.13). */
export const publishEndpoints: Record<string, Endpoint> = {
  '/api/plugin_api/publish_plugin': { method: 'POST', writes: true, handle: publishPlugin },
  '/api/plugin_api/get_plugin_next_version': { method: 'POST', handle: getPluginNextVersion },
  '/api/plugin_api/get_plugin_publish_history': { method: 'POST', handle: getPluginPublishHistory },
  '/api/plugin_api/check_and_lock_plugin_edit': { method: 'POST', writes: true, handle: checkAndLockPluginEdit },
  '/api/plugin_api/unlock_plugin_edit': { method: 'POST', writes: true, handle: unlockPluginEdit },
  '/api/plugin_api/get_user_authority': { method: 'POST', handle: getUserAuthority },
  '/api/plugin_api/get_oauth_schema': { method: 'POST', handle: () => ({ oauth_schema: '[]', ide_conf: '{}' }) },
  '/api/plugin_api/get_oauth_status': { method: 'POST', handle: getOauthStatus },
}

function publishPlugin(call: Call) {
  const { world, userId } = call
  const plugin = pluginToEdit(world, requiredId(call, 'plugin_id'), userId)
  const versionName = optionalText(call, 'version_name') ?? ''
  const versionDesc = optionalText(call, 'version_desc') ?? ''
  const info = optionalText(call, 'privacy_info') ?? ''
  const collects = optionalBool(call, 'privacy_status') ?? false
  if (versionName === '') throw refusal(world, 'invalidParameter', 'version_name is required')
  if (charCount(versionName) > 40) throw refusal(world, 'invalidParameter', 'version_name is too long')
  if (world.switches.textRules) {
    if (versionDesc.trim() === '') throw refusal(world, 'invalidParameter', 'version_desc is required')
    if (charCount(versionDesc) > 800) throw refusal(world, 'invalidParameter', 'version_desc is too long')
    if (collects && info === '') throw refusal(world, 'invalidParameter', 'privacy_info is required')
  }
  checkTools(world, plugin)
  if (world.switches.strictVersion) {
    const greater = isGreaterVersion(versionName, plugin.online?.versionName ?? '')
    if (greater === null) throw refusal(world, 'invalidParameter', 'version_name is not a semantic version')
    if (plugin.online !== null && !greater) throw refusal(world, 'versionTooLow', plugin.online.versionName)
  }
  if (plugin.online !== null && !plugin.changed && world.switches.publishUnchanged === 'refused') {
    throw refusal(world, 'nothingToPublish')
  }
  const unseen = call.fault('publish-unseen')
  if (unseen !== undefined) {
    plugin.unseen = { reads: unseen.reads, published: plugin.online !== null, changed: plugin.changed }
  }
  plugin.meta = { ...plugin.meta, privacy: { status: collects, info } }
  const release = releaseDraft(world, plugin, { versionName, versionDesc, publisherId: userId }, call.lagMs)
  call.changed()
  return { version_ts: world.switches.sparseAnswers ? '' : long(call, release.versionTs) }
}

function getPluginNextVersion(call: Call) {
  const plugin = pluginFor(call.world, requiredId(call, 'plugin_id'), call.userId)
  if (requiredId(call, 'space_id') !== plugin.spaceId) throw refusal(call.world, 'invalidParameter', 'space_id')
  return { next_version_name: nextVersion(plugin) }
}

function getPluginPublishHistory(call: Call) {
  const plugin = pluginFor(call.world, requiredId(call, 'plugin_id'), call.userId)
  if (requiredId(call, 'space_id') !== plugin.spaceId) throw refusal(call.world, 'invalidParameter', 'space_id')
  const [page, size] = [optionalInt(call, 'page') ?? 1, Math.min(optionalInt(call, 'size') ?? 10, 100)]
  return {
    plugin_publish_info_list: pageOf(plugin.history, page, size).map((release) => ({
      publisher_id: release.publisherId,
      // Not annotated in the IDL: a number, whatever the header says (§2.12).
      version_ts: Number(release.versionTs),
      version_name: release.versionName,
      version_desc: release.versionDesc,
    })),
    total: plugin.history.length,
  }
}

/** CamelCase keys, as the real one's (§2.11). */
function checkAndLockPluginEdit(call: Call) {
  const { world, userId } = call
  const plugin = pluginFor(world, requiredId(call, 'plugin_id'), userId)
  if (!canEdit(world, plugin, userId)) throw refusal(world, 'permissionDenied')
  const holder = lockHolder(world, plugin)
  if (holder !== null && holder !== userId) {
    return { data: { Occupied: true, user: creatorOf(call, plugin, holder), Seized: false } }
  }
  plugin.lock = { userId, untilMs: world.clock.nowMs() + world.switches.lockTtlMs }
  call.changed()
  return { data: { Occupied: holder !== null, user: creatorOf(call, plugin, userId), Seized: true } }
}

function unlockPluginEdit(call: Call) {
  const { world, userId } = call
  const plugin = pluginFor(world, requiredId(call, 'plugin_id'), userId)
  const released = lockHolder(world, plugin) === userId
  if (released) plugin.lock = null
  if (released) call.changed()
  return { released }
}

function getUserAuthority(call: Call) {
  const plugin = pluginFor(call.world, requiredId(call, 'plugin_id'), call.userId)
  const edit = canEdit(call.world, plugin, call.userId)
  return {
    data: {
      can_edit: edit,
      can_read: true,
      can_delete: edit,
      can_debug: edit,
      can_publish: edit,
      can_read_changelog: true,
    },
  }
}

function getOauthStatus(call: Call) {
  pluginFor(call.world, requiredId(call, 'plugin_id'), call.userId)
  return { is_oauth: false, status: 1, content: '' }
}
