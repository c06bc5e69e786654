import { ERROR_FACTS, type ErrorType } from '../domain/errors.ts'
import type { CredentialData, DriftData, Notice, RunData, TokenData, UsedTokenData } from '../domain/notices.ts'

/** What a notice says to people, in both languages. */

export type Language = 'en' | 'zh'
export type NoticeText = { title: string; lines: string[] }

const SHOWN_TOKENS = 10

export function textOf(notice: Notice, language: Language): NoticeText {
  const zh = language === 'zh'
  switch (notice.type) {
    case 'sync.failed':
      return { title: zh ? 'Toolferry：同步失败' : 'Toolferry: a sync failed', lines: runLines(notice.data, zh) }
    case 'sync.partial':
      return {
        title: zh ? 'Toolferry：同步部分失败' : 'Toolferry: a sync failed in part',
        lines: runLines(notice.data, zh),
      }
    case 'sync.waiting_for_credential':
      return {
        title: zh ? 'Toolferry：同步在等待新凭据' : 'Toolferry: a sync waits for a credential',
        lines: [
          ...runLines(notice.data, zh),
          zh
            ? '请在该平台上更新凭据，运行会自动继续。'
            : 'Give the platform a new credential; the run continues by itself.',
        ],
      }
    case 'drift.found':
      return {
        title: zh ? 'Toolferry：发现漂移' : 'Toolferry: drift was found',
        lines: driftLines(notice.data, zh),
      }
    case 'credential.expiring':
      return {
        title: zh ? 'Toolferry：平台凭据即将过期' : 'Toolferry: a platform’s credential ends soon',
        lines: credentialLines(notice.data, zh, zh ? '请提前更新凭据。' : 'Give a new one before.'),
      }
    case 'credential.expired':
      return {
        title: zh ? 'Toolferry：平台凭据已过期' : 'Toolferry: a platform’s credential has ended',
        lines: credentialLines(
          notice.data,
          zh,
          zh ? '该平台的运行会等待新凭据。' : 'Its runs wait until it has a new one.',
        ),
      }
    case 'credential.refused':
      return {
        title: zh ? 'Toolferry：平台拒绝了凭据' : 'Toolferry: a platform refuses its credential',
        lines: credentialLines(
          notice.data,
          zh,
          zh ? '该平台的运行会等待新凭据。' : 'Its runs wait until it has a new one.',
        ),
      }
    case 'token.expiring':
      return {
        title: zh ? 'Toolferry：网关令牌即将过期' : 'Toolferry: gateway tokens end soon',
        lines: tokenLines(notice.data, zh),
      }
    case 'token.still_used':
      return {
        title: zh ? 'Toolferry：已替换的令牌仍在被使用' : 'Toolferry: replaced tokens are still used',
        lines: usedTokenLines(notice.data, zh),
      }
    case 'webhook.test':
      return {
        title: zh ? 'Toolferry：测试消息' : 'Toolferry: a test',
        lines: [
          zh ? `Webhook「${notice.data.name}」可以收到消息。` : `The webhook "${notice.data.name}" can be reached.`,
        ],
      }
  }
}

function runLines({ name, platformName, counts, error, syncId }: RunData, zh: boolean): string[] {
  const { total, succeeded, unchanged, failed, conflict } = counts
  const lines = zh
    ? [
        `运行：${name}`,
        `平台：${platformName}`,
        `目标：共 ${total}，成功 ${succeeded}，未变 ${unchanged}，失败 ${failed}，冲突 ${conflict}`,
      ]
    : [
        `Run: ${name}`,
        `Platform: ${platformName}`,
        `Targets: ${total} in all, ${succeeded} succeeded, ${unchanged} unchanged, ${failed} failed, ${conflict} in conflict`,
      ]
  if (error !== null) {
    lines.push(zh ? `原因：${error.type}：${error.message}` : `Reason: ${error.type}: ${error.message}`)
    const hint = hintOf(error.type, zh)
    if (hint !== null) lines.push(hint)
  }
  return [...lines, zh ? `同步编号：${syncId}` : `Sync id: ${syncId}`]
}

function driftLines({ name, platformName, objects, spaces, fields, syncId }: DriftData, zh: boolean): string[] {
  return zh
    ? [
        `运行：${name}`,
        `平台：${platformName}`,
        `${spaces} 个空间中有 ${objects} 个对象与写入的内容不一致。`,
        `字段：${fields.join('、')}`,
        `同步编号：${syncId}`,
      ]
    : [
        `Run: ${name}`,
        `Platform: ${platformName}`,
        `Objects that are not as they were written: ${objects}, in spaces: ${spaces}`,
        `Fields: ${fields.join(', ')}`,
        `Sync id: ${syncId}`,
      ]
}

function credentialLines({ platformName, expiresAt }: CredentialData, zh: boolean, advice: string): string[] {
  const ends = expiresAt === null ? [] : [zh ? `到期时间：${expiresAt}` : `It ends: ${expiresAt}`]
  return [zh ? `平台：${platformName}` : `Platform: ${platformName}`, ...ends, advice]
}

function tokenLines({ withinDays, count, tokens }: TokenData, zh: boolean): string[] {
  const shown = tokens.slice(0, SHOWN_TOKENS).map(({ instanceName, spaceName, expiresAt }) => {
    const where = spaceName === null ? instanceName : `${instanceName} / ${spaceName}`
    return zh ? `${where}：${expiresAt}` : `${where}: ${expiresAt}`
  })
  const more = count - shown.length
  return [
    zh ? `${withinDays} 天内有 ${count} 个授权到期。` : `Within ${withinDays === 1 ? 'a day' : '7 days'}: ${count}`,
    ...shown,
    ...(more > 0 ? [zh ? `另有 ${more} 个` : `and ${more} more`] : []),
  ]
}

function usedTokenLines({ count, tokens }: UsedTokenData, zh: boolean): string[] {
  const shown = tokens.slice(0, SHOWN_TOKENS).map(({ instanceName, spaceName, lastUsedAt }) => {
    const where = spaceName === null ? instanceName : `${instanceName} / ${spaceName}`
    return zh ? `${where}：最近使用 ${lastUsedAt}` : `${where}: last used ${lastUsedAt}`
  })
  const more = count - shown.length
  return [
    zh ? `宽限期已过，仍在被使用的旧令牌：${count} 个。` : `Former tokens used after their grace period: ${count}`,
    ...shown,
    ...(more > 0 ? [zh ? `另有 ${more} 个` : `and ${more} more`] : []),
    zh ? '请找出仍在使用它们的调用方，或将其终止。' : 'Find who sends them, or end them; until then they stay good.',
  ]
}

function hintOf(type: string, zh: boolean): string | null {
  if (!Object.hasOwn(ERROR_FACTS, type)) return null
  const { hint } = ERROR_FACTS[type as ErrorType]
  return zh ? hint.zh : hint.en
}
