import type { RpcId, RpcIds } from './refusal.ts'

type JsonObject = Record<string, unknown>

/** What the gateway wants to know of a request body. */
export type RpcRequest = RpcIds & {
  messages: JsonObject[]
  /** For the journal: the method, `response` for an answer of the client, `batch` for several messages. At most 128 characters. */
  method: string
  /** Of the first `tools/call`, at most 191 characters. */
  toolName: string | null
}

const METHOD_SHAPE = /^[\w$./-]{1,128}$/
const MAX_TOOL_NAME = 191

/** JSON.rawJSON is newer than the library's types. */
const rawJson = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON

/** Reads JSON so that JSON.stringify gives back every number as it stood (1.0, 2^60), not as JavaScript would round it. */
function parseExactly(text: string): unknown {
  const revive = (_key: string, value: unknown, context?: { source?: string }): unknown =>
    typeof value === 'number' && context?.source !== undefined && String(value) !== context.source
      ? rawJson(context.source)
      : value
  return JSON.parse(text, revive)
}

/**
 * A JSON-RPC message or batch. `exact`: it will be sent on as re-written by `JSON.stringify(messages)`. Answers why not:
 * `parse_error` or `invalid_request`.
 */
export function parseRequest(body: Buffer, exact: boolean): RpcRequest | 'parse_error' | 'invalid_request' {
  let parsed: unknown
  try {
    const text = body.toString('utf8')
    parsed = exact ? parseExactly(text) : JSON.parse(text)
  } catch {
    return 'parse_error'
  }
  const batch = Array.isArray(parsed)
  const messages: unknown[] = batch ? (parsed as unknown[]) : [parsed]
  if (messages.length === 0 || !messages.every(isObject)) return 'invalid_request'
  const call = messages.find((message) => message.method === 'tools/call')
  const name = isObject(call?.params) ? call.params.name : undefined
  return {
    batch,
    messages,
    ids: batch ? messages.filter((message) => message.id !== undefined).map(idOf) : messages.map(idOf),
    method: batch ? 'batch' : methodOf(messages[0]),
    toolName: typeof name === 'string' ? name.slice(0, MAX_TOOL_NAME) : null,
  }
}

/** The ids of a body that may be anything; used to refuse it. */
export function idsIn(body: Buffer): RpcIds {
  const request = parseRequest(body, false)
  return typeof request === 'string' ? { batch: false, ids: [null] } : request
}

/** The body to send upstream in place of the client's, so that the upstream cannot read it differently than we judged it. */
export function rewritten(request: RpcRequest): Buffer {
  return Buffer.from(JSON.stringify(request.batch ? request.messages : request.messages[0]))
}

/**
 * Whether every `tools/call` names an allowed tool. Keys that some servers take for the same (`Method`, `NAME`) make a
 * message unreadable to us, hence `ambiguous`.
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

/** A response body with its tool lists cut down to the allowed; null when it is not JSON. */
export function withAllowedTools(text: string, tools: ReadonlySet<string>): string | null {
  let parsed: unknown
  try {
    parsed = parseExactly(text)
  } catch {
    return null
  }
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
  return changed ? JSON.stringify(parsed) : text
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function idOf(message: JsonObject): RpcId {
  return typeof message.id === 'string' || typeof message.id === 'number' ? message.id : rawIdOf(message.id)
}

/** A number that JavaScript would round comes as a raw-JSON object; it is written back as it stood. */
function rawIdOf(id: unknown): RpcId {
  return isObject(id) && typeof id.rawJSON === 'string' ? (id as unknown as number) : null
}

function methodOf(message: JsonObject | undefined): string {
  const method = message?.method
  if (method === undefined) return 'response'
  return typeof method === 'string' && METHOD_SHAPE.test(method) ? method : 'unknown'
}

function hasLookalike(object: JsonObject, names: string[]): boolean {
  return Object.keys(object).some((key) => !names.includes(key) && names.includes(key.toLowerCase()))
}
