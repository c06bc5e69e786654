import { randomBytes } from 'node:crypto'
import type { CozeRefused } from './codes.ts'
import type { SessionLoss } from './options.ts'
import type { World } from './world.ts'

/** An answer before it goes out. `json` is what `body` says, for the log and for faults that change its shape. */
export type Reply = {
  status: number
  headers: Record<string, string>
  body: string
  json: Record<string, unknown> | null
}

const LOGIN_PAGE =
  '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><title>登录 - 扣子</title></head><body><div id="root"></div></body></html>'
const CHALLENGE_PAGE =
  '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><title>验证</title></head><body>请完成人机验证</body></html>'

export function jsonReply(json: Record<string, unknown>, status = 200, headers: Record<string, string> = {}): Reply {
  return {
    status,
    headers: { 'content-type': 'application/json; charset=utf-8', ...headers },
    body: JSON.stringify(json),
    json,
  }
}

export function htmlReply(status: number, body: string): Reply {
  return { status, headers: { 'content-type': 'text/html; charset=utf-8' }, body, json: null }
}

export function textReply(status: number, body: string): Reply {
  return { status, headers: { 'content-type': 'text/plain; charset=utf-8' }, body, json: null }
}

export function loginPage(): Reply {
  return htmlReply(200, LOGIN_PAGE)
}

export function successReply(payload: Record<string, unknown>): Reply {
  return jsonReply({ code: 0, msg: '', ...payload, BaseResp: { StatusMessage: '', StatusCode: 0 } })
}

export function refusalReply(world: World, refused: CozeRefused): Reply {
  return jsonReply({ code: refused.code, [world.switches.messageField]: refused.message }, refused.httpStatus)
}

/** The shapes of coze.md §0.5 and §3.4. */
export function lossReply(world: World, loss: SessionLoss): Reply {
  const coded = (why: 'notLoggedIn' | 'riskControl' | 'regionRestricted') => {
    const { code, msg } = world.codes[why]
    return jsonReply({ code, [world.switches.messageField]: msg })
  }
  switch (loss) {
    case 'code':
      return coded('notLoggedIn')
    case 'unauthorized':
      return jsonReply({ code: 401, message: '未登录', data: { redirect_uri: '/sign' } }, 401)
    case 'redirect':
      return { ...htmlReply(302, ''), headers: { location: '/passport/login', 'content-type': 'text/html' } }
    case 'html':
      return loginPage()
    case 'human-verification':
      return htmlReply(403, CHALLENGE_PAGE)
    case 'human-verification-json':
      return jsonReply({ code: 403, message: 'verify required', data: { verify_data: '{"type":"slide"}' } }, 403)
    case 'risk':
      return coded('riskControl')
    case 'region':
      return coded('regionRestricted')
  }
}

/** Ids as bare numbers, all digits of them: what a lossless parser reads, and JSON.parse does not. */
export function withNumericIds(reply: Reply): Reply {
  return { ...reply, body: reply.body.replace(/"(\w*id)":"(\d{10,20})"/g, '"$1":$2') }
}

/** Time and randomness, as COZE support asks for it. */
export function mintLogId(nowMs: number): string {
  const stamp = new Date(nowMs).toISOString().replace(/\D/g, '').slice(0, 14)
  return `${stamp}${randomBytes(10).toString('hex').toUpperCase()}`
}
