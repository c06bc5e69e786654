import { type ErrorType, ToolferryError } from '../../domain/errors.ts'

/** What COZE meant, where the type of §10 alone does not tell what the adapter must do next. */
export type CozeFault =
  | 'login'
  | 'risk'
  | 'forbidden'
  | 'notFound'
  | 'input'
  | 'duplicateName'
  | 'editConflict'
  | 'locked'
  | 'versionTooLow'
  | 'notReady'
  | 'rateLimited'
  | 'busy'
  | 'refused'
  /** The request did not get there: nothing happened. */
  | 'notSent'
  /** No usable answer: it may have happened or not. */
  | 'lost'

export type CozeErrorFacts = {
  fault: CozeFault
  endpoint: string
  httpStatus: number | null
  /** COZE's own code, as text. */
  code: string | null
  /** `x-tt-logid`: what COZE's support asks for. */
  logId: string | null
  retryAfterMs?: number
}

/** A failure of a call to COZE. The message holds COZE's code, its own words (clipped, without secrets) and the log id. */
export class CozeError extends ToolferryError {
  readonly fault: CozeFault
  readonly endpoint: string
  readonly httpStatus: number | null
  readonly code: string | null
  readonly logId: string | null

  constructor(type: ErrorType, message: string, facts: CozeErrorFacts, cause?: unknown) {
    super(type, message, { cause, ...(facts.retryAfterMs === undefined ? {} : { retryAfterMs: facts.retryAfterMs }) })
    this.fault = facts.fault
    this.endpoint = facts.endpoint
    this.httpStatus = facts.httpStatus
    this.code = facts.code
    this.logId = facts.logId
  }
}

export function isFault(error: unknown, ...faults: CozeFault[]): error is CozeError {
  return error instanceof CozeError && faults.includes(error.fault)
}

type Judgement = { type: ErrorType; fault: CozeFault; says: string }

const LOGIN: Judgement = {
  type: 'CredentialExpired',
  fault: 'login',
  says: 'COZE does not know the login any more: it has expired or was signed out',
}
const RISK: Judgement = {
  type: 'HumanVerificationNeeded',
  fault: 'risk',
  says: 'COZE asks for a human check before it answers this account again',
}
const FORBIDDEN: Judgement = { type: 'Forbidden', fault: 'forbidden', says: 'COZE does not let this account do it' }
const INPUT: Judgement = { type: 'InvalidDesiredState', fault: 'input', says: 'COZE does not take what it was given' }
const CONTENT: Judgement = {
  type: 'InvalidDesiredState',
  fault: 'input',
  says: 'COZE’s content check refused the name or the description. Change them in the instance',
}
const DUPLICATE: Judgement = {
  type: 'Conflict',
  fault: 'duplicateName',
  says: 'COZE has a plugin of this name already',
}
const EDIT_CONFLICT: Judgement = {
  type: 'Conflict',
  fault: 'editConflict',
  says: 'somebody else changed the plugin in COZE at the same time',
}
const LOCKED: Judgement = { type: 'Conflict', fault: 'locked', says: 'somebody else is editing the plugin in COZE' }
const NOT_FOUND: Judgement = { type: 'TargetGone', fault: 'notFound', says: 'it does not exist in COZE (any more)' }
const VERSION: Judgement = { type: 'Conflict', fault: 'versionTooLow', says: 'COZE wants a higher version number' }
const NOT_READY: Judgement = {
  type: 'UpstreamUnreachable',
  fault: 'notReady',
  says: 'COZE has no usable tools of the plugin: it could not read them from the MCP server',
}
const BUSY: Judgement = { type: 'Unavailable', fault: 'busy', says: 'COZE is busy' }

/** By code first (coze.md §3.4). */
const BY_CODE: Record<string, Judgement> = {
  '401': LOGIN,
  '700012006': LOGIN,
  '700012014': RISK,
  '700012015': { ...FORBIDDEN, says: 'COZE is not available in the region that this server calls from' },
  '700015002': FORBIDDEN,
  '702082020': { ...FORBIDDEN, says: 'the COZE account has no credit left for it' },
  '702095072': { ...FORBIDDEN, says: 'the COZE account has no credit left for it' },
  '720092020': CONTENT,
  '702095075': CONTENT,
  '702095081': CONTENT,
  '700012050': CONTENT,
  '700012034': { ...FORBIDDEN, says: 'the COZE account’s daily quota is used up' },
  '702093022': DUPLICATE,
  '702092010': DUPLICATE,
  '702093021': INPUT,
  '702042018': FORBIDDEN,
  '702042162': FORBIDDEN,
  '777777759': EDIT_CONFLICT,
  '109000000': INPUT,
  '109000001': FORBIDDEN,
  '109000005': NOT_FOUND,
  '109000007': INPUT,
  '109000011': NOT_READY,
  '111000001': FORBIDDEN,
}

/** Then by COZE's words: many of its codes are not known (coze.md §3.4). The first that fits decides. */
const BY_WORDS: [RegExp, Judgement][] = [
  [/登录校验|未登录|请.{0,4}登录|login (required|expired)|not logged in/i, LOGIN],
  [/人机验证|异常流量|验证码|captcha/i, RISK],
  [/正在编辑|being edited|edit lock/i, LOCKED],
  [/edit_?version|版本冲突|已被修改|stale/i, EDIT_CONFLICT],
  [/版本号|version/i, VERSION],
  [/权限|permission|forbidden/i, FORBIDDEN],
  [/上限|quota|limit exceeded/i, { ...FORBIDDEN, says: 'a limit of the COZE account is reached' }],
  [/已存在|重复|duplicate|already exists/i, DUPLICATE],
  [/不存在|已被?删除|not found|not exist|(?:been|was|already) deleted/i, NOT_FOUND],
  [/频繁|too many|rate limit/i, { type: 'RateLimited', fault: 'rateLimited', says: 'COZE asks to slow down' }],
  [/繁忙|稍后|internal server|系统错误|timeout|超时/i, BUSY],
]

/** Words that are COZE's own even where it quotes somebody else's server. */
const BY_OWN_WORDS: [RegExp, Judgement][] = [
  [/登录校验不合法/, LOGIN],
  [/其他用户正在编辑/, LOCKED],
]

/**
 * An answer that says `code` other than 0. `field`-like words of endpoints never get in; COZE's own do, clipped. `quotesOthers`:
 * the words may be those of an MCP server, which tell nothing about the login, the account or the plugin.
 */
export function refusedByCode(answer: {
  endpoint: string
  httpStatus: number
  code: string
  words: string
  logId: string | null
  quotesOthers?: boolean
}): CozeError {
  const byWords = answer.quotesOthers === true ? BY_OWN_WORDS : BY_WORDS
  const judged = bySharedCode(answer.code, answer.words) ??
    BY_CODE[answer.code] ??
    (answer.code.startsWith('777074') ? FORBIDDEN : undefined) ??
    byWords.find(([pattern]) => pattern.test(answer.words))?.[1] ?? {
      type: 'InvalidDesiredState' as const,
      fault: 'refused' as const,
      says: 'COZE refused it',
    }
  const { endpoint, httpStatus, code, logId } = answer
  return new CozeError(judged.type, sentence(judged.says, answer), {
    fault: judged.fault,
    endpoint,
    httpStatus,
    code,
    logId,
  })
}

/** Codes that COZE uses for more than one thing: the words tell. */
function bySharedCode(code: string, words: string): Judgement | null {
  if (code === '109000000' && /version|版本/i.test(words)) return VERSION
  return code === '777777759' && /正在编辑/.test(words) ? LOCKED : null
}

type Place = { endpoint: string; httpStatus: number; logId: string | null }

export function loginLost(place: Place, how: string): CozeError {
  return new CozeError(LOGIN.type, sentence(`${LOGIN.says} (${how})`, place), { ...place, fault: 'login', code: null })
}

export function humanCheck(place: Place): CozeError {
  return new CozeError(RISK.type, sentence(RISK.says, place), { ...place, fault: 'risk', code: null })
}

export function forbidden(place: Place, says: string): CozeError {
  return new CozeError('Forbidden', sentence(says, place), { ...place, fault: 'forbidden', code: null })
}

export function rateLimited(place: Place, retryAfterMs: number | undefined): CozeError {
  return new CozeError('RateLimited', sentence('COZE asks to slow down', place), {
    ...place,
    fault: 'rateLimited',
    code: null,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  })
}

/** An answer that says nothing usable: a 5xx, HTML, half a JSON. */
export function unusable(place: Place, what: string): CozeError {
  return new CozeError('Unavailable', sentence(`COZE gave no usable answer: ${what}`, place), {
    ...place,
    fault: 'lost',
    code: null,
  })
}

export function noAnswer(
  endpoint: string,
  how: { fault: 'notSent' | 'lost'; type: 'Unavailable' | 'Timeout'; says: string },
  cause?: unknown,
): CozeError {
  const facts = { fault: how.fault, endpoint, httpStatus: null, code: null, logId: null }
  return new CozeError(how.type, `${upperFirst(how.says)} (${endpoint}).`, facts, cause)
}

function sentence(
  says: string,
  facts: { endpoint: string; httpStatus: number; logId: string | null; code?: string; words?: string },
): string {
  const details = [
    facts.endpoint,
    ...(facts.httpStatus === 200 ? [] : [`HTTP ${facts.httpStatus}`]),
    ...(facts.code === undefined ? [] : [`code ${facts.code}`]),
    ...(facts.words === undefined || facts.words === '' ? [] : [`“${facts.words}”`]),
    ...(facts.logId === null ? [] : [`log id ${facts.logId}`]),
  ]
  return `${upperFirst(says)} (${details.join(', ')}).`
}

function upperFirst(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
