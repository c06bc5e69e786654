import { ExactJson, hasAtMostValues, isRawJson } from './exact-json.ts'
import type { RpcId, RpcIds } from './refusal.ts'

type JsonObject = Record<string, unknown>

/** What the gateway wants to know of a request body. */
export type RpcSummary = RpcIds & {
  /** For the journal: the method, `response` for an answer of the client, `batch` for several messages. At most 128 characters. */
  method: string
  /** Of the first `tools/call`, at most 191 characters. */
  toolName: string | null
}

/** A request that was parsed, so that a policy can look into it. */
export type RpcRequest = RpcSummary & {
  messages: JsonObject[]
  /** What goes upstream in place of the client's bytes, so that the upstream cannot read it differently than we judged it. */
  rewritten: Buffer | null
}

/** Why a body is not read. */
export type UnreadableCode = 'parse_error' | 'invalid_request' | 'body_too_large'

const METHOD_SHAPE = /^[\w$./-]{1,128}$/
const MAX_TOOL_NAME = 191
/** Of a batch: as many are kept while it is answered, and get an error each if it is refused. */
const MAX_IDS = 1_000

/**
 * How much is parsed: to make a million values holds up everybody for seconds, though they fit into a body that is not too
 * large. What is only scanned or passed on may hold any number.
 */
const MAX_VALUES = 200_000

/** A JSON-RPC message or batch. `exact`: it will be sent on as `rewritten`. Answers why not, where it cannot be. */
export function parseRequest(body: Buffer, exact: boolean): RpcRequest | UnreadableCode {
  const text = body.toString('utf8')
  if (!hasAtMostValues(text, MAX_VALUES)) return 'body_too_large'
  let parsed: unknown
  let rewritten: Buffer | null = null
  try {
    if (exact) {
      const json = new ExactJson(text)
      parsed = json.value
      revealLookedAt(json)
      rewritten = Buffer.from(json.write(parsed))
    } else {
      parsed = JSON.parse(text)
    }
  } catch {
    // What is nested too deep to be written again is as good as ill-formed.
    return 'parse_error'
  }
  const batch = Array.isArray(parsed)
  const messages: unknown[] = batch ? (parsed as unknown[]) : [parsed]
  if (messages.length === 0 || !messages.every(isObject)) return 'invalid_request'
  const call = messages.find((message) => message.method === 'tools/call')
  const name = isObject(call?.params) ? call.params.name : undefined
  const [first] = messages
  if (!batch) return { ...summaryOf(first?.id, first?.method, name), messages, rewritten }
  const ids = messages.filter(({ id }) => id !== undefined).map(({ id }) => idOf(id))
  return {
    batch,
    messages,
    rewritten,
    ids: ids.length > MAX_IDS ? [] : ids,
    method: 'batch',
    toolName: toolNameOf(name),
  }
}

/** Of a message by itself. `name`: of the tool, where it calls one. */
export function summaryOf(id: unknown, method: unknown, name: unknown): RpcSummary {
  return { batch: false, ids: [idOf(id)], method: methodOf(method), toolName: toolNameOf(name) }
}

/** The ids of a body that may be anything; used to refuse it. */
export function idsIn(body: Buffer): RpcIds {
  const request = parseRequest(body, false)
  return typeof request === 'string' ? { batch: false, ids: [null] } : request
}

/**
 * Whether every `tools/call` names an allowed tool. Keys that some servers take for the same (`Method`, `NAME`, `paramſ`)
 * make a message unreadable to us, hence `ambiguous`.
 */
export function judgeTools(request: RpcRequest, tools: ReadonlySet<string>): 'ok' | 'refused' | 'ambiguous' {
  for (const message of request.messages) {
    if (hasLookalike(message, ['method', 'params'])) return 'ambiguous'
    if (message.method !== 'tools/call') continue
    const params = message.params
    if (!isObject(params) || typeof params.name !== 'string') return 'refused'
    if (hasLookalike(params, ['name'])) return 'ambiguous'
    if (!tools.has(params.name)) return 'refused'
  }
  return 'ok'
}

/**
 * A response body with its tool lists cut down to the allowed; null when it is not JSON. May throw RangeError when something has
 * to be cut out of it and it is nested too deep to be written again.
 */
export function withAllowedTools(text: string, tools: ReadonlySet<string>): string | null {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return null
  }
  if (!cutTools(parsed, tools)) return text
  const json = new ExactJson(text)
  cutTools(json.value, tools)
  return json.write(json.value)
}

/** Whether there was anything to cut. */
function cutTools(parsed: unknown, tools: ReadonlySet<string>): boolean {
  let changed = false
  for (const message of Array.isArray(parsed) ? parsed : [parsed]) {
    const result = isObject(message) ? message.result : undefined
    if (!isObject(result) || !Array.isArray(result.tools)) continue
    const allowed = result.tools.filter(
      (tool) => isObject(tool) && typeof tool.name === 'string' && tools.has(tool.name),
    )
    changed ||= allowed.length !== result.tools.length
    result.tools = allowed
  }
  return changed
}

/** What is judged, noted or answered with is a number where it was one. */
function revealLookedAt(json: ExactJson): void {
  for (const message of Array.isArray(json.value) ? json.value : [json.value]) {
    if (!isObject(message)) continue
    json.reveal(message, ['id', 'method'])
    if (isObject(message.params)) json.reveal(message.params, ['name'])
  }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function idOf(id: unknown): RpcId {
  return typeof id === 'string' || typeof id === 'number' ? id : rawIdOf(id)
}

function toolNameOf(name: unknown): string | null {
  return typeof name === 'string' ? name.slice(0, MAX_TOOL_NAME) : null
}

/** A number that JavaScript would round comes as raw JSON (see ExactJson.reveal); it is written back as it stood. */
function rawIdOf(id: unknown): RpcId {
  return isRawJson(id) ? (id as number) : null
}

function methodOf(method: unknown): string {
  if (method === undefined) return 'response'
  return typeof method === 'string' && METHOD_SHAPE.test(method) ? method : 'unknown'
}

function hasLookalike(object: JsonObject, names: string[]): boolean {
  // By way of upper case, which is the same for letters that Unicode folds into one (ſ and s), as lower case is not.
  return Object.keys(object).some((key) => !names.includes(key) && names.includes(key.toUpperCase().toLowerCase()))
}
