import type { IncomingMessage, ServerResponse } from 'node:http'
import type { CallLog } from './call-log.ts'
import { CozeRefused, unbindable } from './codes.ts'
import type { Call, Endpoint } from './endpoint.ts'
import { type Faults, findFault, type Strike } from './faults.ts'
import { pluginLibraryEndpoints } from './library-endpoints.ts'
import { metaEndpoints } from './meta-endpoints.ts'
import { editByHand } from './people.ts'
import { placeEndpoints } from './place-endpoints.ts'
import { publishEndpoints } from './publish-endpoints.ts'
import {
  htmlReply,
  jsonReply,
  loginPage,
  lossReply,
  mintLogId,
  type Reply,
  refusalReply,
  successReply,
  textReply,
  withNumericIds,
} from './replies.ts'
import { hashText, judgeCookie, loseSessions } from './sessions.ts'
import type { CallListener, CallStage, CozeCall } from './simulator-types.ts'
import { toolEndpoints } from './tool-endpoints.ts'
import type { World } from './world.ts'
import { userOf } from './world.ts'

export const endpoints: Record<string, Endpoint> = {
  ...placeEndpoints,
  ...pluginLibraryEndpoints,
  ...metaEndpoints,
  ...toolEndpoints,
  ...publishEndpoints,
}

export type Front = {
  world: World
  faults: Faults
  log: CallLog
  listeners: Set<CallListener>
}

type Identity = ReturnType<typeof judgeCookie>

/** Thrown where the connection is to be cut. */
const CUT = Symbol('cut')

const MAX_BODY_BYTES = 4 * 1024 * 1024
/** Bytes of memory a rate limit needs: the starts of the last second, by session. */
const starts = new WeakMap<World, Map<string, number[]>>()

/** One request from arrival to answer: logged, struck by faults, judged, processed, answered. */
export async function serve(front: Front, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { world, log } = front
  const url = new URL(request.url ?? '/', 'http://coze')
  if (url.pathname.startsWith('/static/')) return void response.writeHead(404).end()
  const text = await readBody(request)
  const body = parseJson(text)
  const identity = judgeCookie(world, request.headers.cookie)
  const call = log.begin(factsOf(front, request, url, body, identity))
  const end = log.track(call, isWrite(call))
  const onClose = () => {
    call.clientGone = true
    end()
  }
  response.once('close', onClose)
  // Over before the answer goes out: a client that calls again at once is not two calls in flight.
  const over = () => {
    response.off('close', onClose)
    end()
  }
  try {
    await tell(front, call, 'received')
    const strikes = front.faults.strike(call)
    call.faults = strikes.map(({ fault }) => fault.kind)
    const instead = await strikeBefore(front, call, strikes, request)
    const reply = instead ?? (await answer(front, call, request, url, body, text, strikes))
    const shaped = shape(world, reply, strikes)
    await tell(front, call, 'applied')
    await strikeAfter(front, strikes)
    if (!call.clientGone) {
      over()
      send(front, call, finish(shaped, strikes), response)
    }
  } catch (error) {
    over()
    if (error !== CUT) throw error
    request.socket.resetAndDestroy()
  }
  await tell(front, call, 'answered')
}

/** The last part of the path, which names an endpoint everywhere here; `space/list` needs two. */
export function endpointName(path: string): string {
  const parts = path.split('/').filter((part) => part !== '')
  return path.endsWith('/space/list') ? 'space/list' : (parts.at(-1) ?? '/')
}

export function isWrite(call: CozeCall): boolean {
  return endpoints[call.path]?.writes === true
}

function factsOf(
  front: Front,
  request: IncomingMessage,
  url: URL,
  body: unknown,
  identity: Identity,
): Omit<CozeCall, 'n'> {
  const fields = typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {}
  const pluginId = typeof fields.plugin_id === 'string' ? fields.plugin_id : null
  const spaceId = typeof fields.space_id === 'string' ? fields.space_id : null
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(request.headers)) {
    const text = Array.isArray(value) ? value.join(', ') : (value ?? '')
    headers[name] = name === 'cookie' ? hashText(text) : text
  }
  return {
    atMs: front.world.clock.nowMs(),
    method: request.method ?? '',
    path: url.pathname,
    endpoint: endpointName(url.pathname),
    userId: 'userId' in identity ? identity.userId : null,
    headers,
    query: Object.fromEntries(url.searchParams),
    body,
    pluginId,
    spaceId: spaceId ?? front.world.plugins.get(pluginId ?? '')?.spaceId ?? null,
    httpStatus: null,
    code: null,
    msg: null,
    logId: mintLogId(front.world.clock.nowMs()),
    faults: [],
    processed: false,
    changed: false,
    clientGone: false,
  }
}

/** What goes wrong before the call is processed; an answer in its place, or null to go on. */
async function strikeBefore(
  front: Front,
  call: CozeCall,
  strikes: Strike[],
  request: IncomingMessage,
): Promise<Reply | null> {
  const { world } = front
  for (const { fault, held } of strikes) {
    switch (fault.kind) {
      case 'lost-request':
        throw CUT
      case 'latency':
        if (fault.at === 'before') await world.clock.wait(fault.ms)
        break
      case 'hold':
        if (fault.at === 'before') await held
        break
      case 'rate-limited':
        return tooMany(fault.retryAfter === undefined ? 1 : fault.retryAfter)
      case 'session-lost':
        if (fault.lasting === false) return lossReply(world, fault.shape ?? world.switches.sessionLoss)
        loseSessions(world, { cookie: request.headers.cookie ?? '' }, fault.shape)
        break
      case 'lock-held':
        holdLock(world, call, fault)
        break
      case 'version-conflict': {
        const plugin = world.plugins.get(call.pluginId ?? '')
        if (plugin !== undefined && !plugin.deleted) editByHand(world, plugin, {})
        break
      }
      default: {
        const broken = brokenReply(world, strikes, fault.kind, false)
        if (broken !== null) return broken
      }
    }
  }
  return null
}

async function strikeAfter(front: Front, strikes: Strike[]): Promise<void> {
  for (const { fault, held } of strikes) {
    if (fault.kind === 'latency' && fault.at !== 'before') await front.world.clock.wait(fault.ms)
    if (fault.kind === 'hold' && fault.at !== 'before') await held
    if (fault.kind === 'lost-response') throw CUT
  }
}

/** Answers that are broken whether or not the call was processed first. */
function brokenReply(world: World, strikes: Strike[], kind: string, applied: boolean): Reply | null {
  for (const { fault } of strikes) {
    if (fault.kind !== kind || (('applied' in fault ? fault.applied : undefined) ?? false) !== applied) continue
    if (fault.kind === 'server-error') return serverError(fault.status ?? 500, fault.body ?? 'json')
    if (fault.kind === 'html') return htmlReply(fault.status ?? 200, '<html><body>系统维护中</body></html>')
    if (fault.kind === 'invalid-json') return { ...textReply(200, '{"code":0,,}'), headers: jsonReply({}).headers }
    if (fault.kind === 'business-error') {
      return jsonReply({ code: fault.code, [world.switches.messageField]: fault.msg })
    }
  }
  return null
}

/** The judgement in COZE's order: method, Content-Type, session, pace, then the endpoint's own rules. */
async function answer(
  front: Front,
  call: CozeCall,
  request: IncomingMessage,
  url: URL,
  body: unknown,
  text: string,
  strikes: Strike[],
): Promise<Reply> {
  const { world } = front
  if (url.pathname === '/passport/login' || url.pathname === '/sign') return loginPage()
  const identity = judgeCookie(world, request.headers.cookie)
  if (url.pathname === '/passport/account/info/v2/') return accountInfo(world, call, identity)
  const endpoint = endpoints[url.pathname]
  if (endpoint === undefined) return textReply(404, '404 page not found')
  if (request.method !== endpoint.method) return textReply(405, '405 method not allowed')
  // "The new CSRF protection requires all post/get requests to have this header" (§3.1).
  if (!/^application\/json\b/i.test(request.headers['content-type'] ?? '')) {
    return jsonReply({ code: 403, msg: 'csrf check failed' }, 403)
  }
  if ('loss' in identity) return lossReply(world, identity.loss)
  const waitS = overPace(world, identity.sessionId)
  if (waitS !== null) return tooMany(waitS)
  try {
    if (endpoint.method === 'POST' && (typeof body !== 'object' || body === null || Array.isArray(body))) {
      throw unbindable(text === '' ? 'empty body' : 'body is not a JSON object')
    }
    const payload = await endpoint.handle(callOf(front, call, request, url, body, identity.userId, strikes))
    call.processed = true
    if (call.pluginId === null && typeof payload.plugin_id === 'string') call.pluginId = payload.plugin_id
    return successReply(payload)
  } catch (error) {
    if (!(error instanceof CozeRefused)) throw error
    call.processed = true
    return refusalReply(world, error)
  }
}

function callOf(
  front: Front,
  call: CozeCall,
  request: IncomingMessage,
  url: URL,
  body: unknown,
  userId: string,
  strikes: Strike[],
): Call {
  const { world } = front
  return {
    world,
    userId,
    body: (body ?? {}) as Record<string, unknown>,
    query: url.searchParams,
    fault: (kind) => findFault(strikes, kind),
    lagMs: findFault(strikes, 'index-lag')?.ms ?? world.switches.indexLagMs,
    longsAsText: request.headers['agw-js-conv'] === 'str',
    changed: () => {
      call.changed = true
    },
  }
}

/** Faults that keep the answer but change how it looks. */
function shape(world: World, reply: Reply, strikes: Strike[]): Reply {
  let shaped = reply
  for (const { fault } of strikes) {
    const broken = brokenReply(world, strikes, fault.kind, true)
    if (broken !== null) shaped = broken
    if (fault.kind === 'message-field' && shaped.json !== null) {
      const { msg, ...rest } = shaped.json
      shaped = jsonReply({ ...rest, message: msg ?? rest.message }, shaped.status, shaped.headers)
    }
    if (fault.kind === 'numeric-ids') shaped = withNumericIds(shaped)
  }
  return shaped
}

function finish(reply: Reply, strikes: Strike[]): Reply {
  if (findFault(strikes, 'truncated-json') === undefined) return reply
  return { ...reply, body: reply.body.slice(0, Math.floor(reply.body.length / 2)) }
}

function send(front: Front, call: CozeCall, reply: Reply, response: ServerResponse): void {
  call.httpStatus = reply.status
  call.code = typeof reply.json?.code === 'number' ? reply.json.code : null
  const msg = reply.json?.msg ?? reply.json?.message
  call.msg = typeof msg === 'string' ? msg : null
  const headers: Record<string, string> = { ...reply.headers, 'x-tt-logid': call.logId, server: 'Tengine' }
  if (front.world.switches.renewsCookies) {
    headers['set-cookie'] = `ttwid=1%7Crenewed%7C${call.n}; Path=/; HttpOnly; Secure; SameSite=None`
  }
  response.writeHead(reply.status, headers).end(reply.body)
}

function tooMany(retryAfter: number | string | null): Reply {
  const headers: Record<string, string> = retryAfter === null ? {} : { 'retry-after': String(retryAfter) }
  return jsonReply({ code: 429, msg: 'too many requests' }, 429, headers)
}

function serverError(status: number, body: 'json' | 'html' | 'empty'): Reply {
  if (body === 'html') return htmlReply(status, `<html><body><h1>${status}</h1><hr>Tengine</body></html>`)
  if (body === 'empty') return textReply(status, '')
  return jsonReply({ code: 500, msg: 'internal server error' }, status)
}

/** ByteDance's passport shape (§3.3). */
function accountInfo(world: World, call: CozeCall, identity: Identity): Reply {
  if ('loss' in identity) {
    return jsonReply({ message: 'error', data: { error_code: 4, description: '会话过期，请重新登录' } })
  }
  call.processed = true
  const user = userOf(world, identity.userId)
  return jsonReply({ message: 'success', data: { user_id_str: user.userId, screen_name: user.name } })
}

/** The switch `rateLimit`: null = within it, else the seconds to wait. */
function overPace(world: World, sessionId: string): number | null {
  const limit = world.switches.rateLimit
  if (limit === null) return null
  const bySession = starts.get(world) ?? new Map<string, number[]>()
  starts.set(world, bySession)
  const nowMs = world.clock.nowMs()
  const recent = (bySession.get(sessionId) ?? []).filter((atMs) => atMs > nowMs - 1000)
  const allowed = recent.length < limit.perSecond
  bySession.set(sessionId, allowed ? [...recent, nowMs] : recent)
  return allowed ? null : limit.retryAfterS
}

function holdLock(world: World, call: CozeCall, fault: { userId?: string; forMs?: number }): void {
  const plugin = world.plugins.get(call.pluginId ?? '')
  if (plugin === undefined) return
  const other = [...world.users.keys()].find((userId) => userId !== call.userId) ?? world.mintUserId()
  plugin.lock = {
    userId: fault.userId ?? other,
    untilMs: world.clock.nowMs() + (fault.forMs ?? world.switches.lockTtlMs),
  }
}

async function tell(front: Front, call: CozeCall, stage: CallStage): Promise<void> {
  for (const listener of front.listeners) await listener(call, stage)
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_BODY_BYTES) throw new Error('The request is too large.')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
