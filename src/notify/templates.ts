import type { Notice } from '../domain/notices.ts'
import { dingtalkSign, feishuSign } from './signature.ts'
import { type Language, textOf } from './texts.ts'

/**
 * A notice as the receiver takes it. Names in it were chosen by people, so every template puts them where the receiver does
 * not read markup: nobody is mentioned, and no link is made, by a name.
 */

export const WEBHOOK_TEMPLATES = ['generic', 'feishu', 'dingtalk', 'slack'] as const
export type WebhookTemplate = (typeof WEBHOOK_TEMPLATES)[number]

export type RenderOptions = {
  template: WebhookTemplate
  language: Language
  /** Of a Feishu or DingTalk bot that checks signatures. */
  botSecret: string | null
  /** Unix time, ms. */
  nowMs: number
}

/** `query`: what goes into the address besides. */
export type Rendered = { body: string; query: Record<string, string> }

/** Slack's limits: 150 characters in a header block, 3,000 in a section's text. */
const SLACK_HEADER_MAX = 150
const TEXT_MAX = 2_900

export function render(notice: Notice, options: RenderOptions): Rendered {
  const { title, lines } = textOf(notice, options.language)
  const text = cut(lines.join('\n'), TEXT_MAX)
  switch (options.template) {
    case 'generic': {
      const { type, timestamp, data } = notice
      return { body: JSON.stringify({ type, timestamp, data, text: { title, lines } }), query: {} }
    }
    case 'feishu':
      return { body: JSON.stringify(feishuCard(notice, title, text, options)), query: {} }
    case 'dingtalk':
      return {
        body: JSON.stringify({ msgtype: 'text', text: { content: `${title}\n${text}` } }),
        query: dingtalkQuery(options),
      }
    case 'slack':
      return { body: JSON.stringify(slackBlocks(title, text)), query: {} }
  }
}

/** Feishu's custom bot, open.feishu.cn: "custom bot usage guide". An interactive card of plain text. */
function feishuCard(notice: Notice, title: string, text: string, { botSecret, nowMs }: RenderOptions): object {
  const timestampS = Math.floor(nowMs / 1000)
  const signed = botSecret === null ? {} : { timestamp: String(timestampS), sign: feishuSign(botSecret, timestampS) }
  return {
    ...signed,
    msg_type: 'interactive',
    card: {
      config: { wide_screen_mode: true },
      header: { title: { tag: 'plain_text', content: title }, template: colourOf(notice) },
      elements: [{ tag: 'div', text: { tag: 'plain_text', content: text } }],
    },
  }
}

function colourOf({ type }: Notice): string {
  if (type === 'sync.failed' || type === 'credential.expired' || type === 'credential.refused') return 'red'
  return type === 'webhook.test' ? 'blue' : 'orange'
}

/** DingTalk's custom robot, open.dingtalk.com: "custom robot security settings", signing. */
function dingtalkQuery({ botSecret, nowMs }: RenderOptions): Record<string, string> {
  return botSecret === null ? {} : { timestamp: String(nowMs), sign: dingtalkSign(botSecret, nowMs) }
}

/** Slack's incoming webhooks, docs.slack.dev: blocks, with `text` as what a notification shows. */
function slackBlocks(title: string, text: string): object {
  const section = { type: 'section', text: { type: 'plain_text', text, emoji: false } }
  return {
    // The only place here where Slack reads markup.
    text: title.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;'),
    blocks: [{ type: 'header', text: { type: 'plain_text', text: cut(title, SLACK_HEADER_MAX) } }, section],
  }
}

function cut(text: string, maxCharacters: number): string {
  const characters = [...text]
  return characters.length <= maxCharacters ? text : `${characters.slice(0, maxCharacters - 1).join('')}…`
}

/** Whether the receiver says in its answer's body, beside status 200, that it did not take the message. */
export function readsAnswers(template: WebhookTemplate): boolean {
  return template === 'feishu' || template === 'dingtalk'
}

/** What the receiver's answer says beyond its HTTP status; null: it took the message. Only numbers go into the reason. */
export function refusalIn(template: WebhookTemplate, answer: string): string | null {
  if (template === 'generic' || template === 'slack') return null
  const name = template === 'feishu' ? 'Feishu' : 'DingTalk'
  const code = codeIn(answer, template === 'feishu' ? ['code', 'StatusCode'] : ['errcode'])
  if (code === null) return `The answer is not that of a ${name} bot. Check the URL.`
  if (code === 0) return null
  const known = REFUSALS[template][code]
  return `${name} refused the message with code ${code}${known === undefined ? '' : `: ${known}`}.`
}

/** Codes as the platforms document them. */
const REFUSALS: Record<'feishu' | 'dingtalk', Record<number, string>> = {
  feishu: {
    9499: 'too many messages, or a message of the wrong form',
    11232: 'too many messages',
    19001: 'the bot is gone; check the URL',
    19021: 'the signature is wrong; check botSecret and this server’s clock',
    19022: 'this server’s address is not on the bot’s list',
    19024: 'the message has none of the bot’s keywords; add the keyword Toolferry',
  },
  dingtalk: {
    130101: 'too many messages',
    300001: 'the bot’s token is wrong; check the URL',
    300005: 'the bot’s token is wrong; check the URL',
    310000: 'the bot’s security settings; check botSecret, its list of addresses, or add the keyword Toolferry',
  },
}

function codeIn(answer: string, names: readonly string[]): number | null {
  try {
    const parsed: unknown = JSON.parse(answer)
    if (typeof parsed !== 'object' || parsed === null) return null
    const fields = new Map<string, unknown>(Object.entries(parsed))
    for (const name of names) {
      const code = fields.get(name)
      if (typeof code === 'number') return code
    }
  } catch {
    // Not JSON: not the answer of such a bot.
  }
  return null
}
