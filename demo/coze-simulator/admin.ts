import type { RequestListener } from 'node:http'
import { renderPage } from './admin-page.ts'
import { hashText } from './sessions.ts'
import type { CozeCall, CozeSimulator, NameValue, PluginView } from './simulator-types.ts'

/** What the admin view may see of the simulator: everything that only looks. */
export type Watched = Pick<
  CozeSimulator,
  'origin' | 'clock' | 'switches' | 'spaces' | 'plugins' | 'calls' | 'counts' | 'load'
>

const CALLS_SHOWN = 500

/**
 * The view for people who want to know what happened in COZE: on a port of its own, reading only. `/` is a page, `/state.json`
 * spaces with their plugins (draft and online), `/calls.json` the calls (`?endpoint`, `?space`, `?plugin`, `?after`). Header
 * values are masked: tokens are told apart, not read.
 */
export function createAdminHandler(simulator: Watched): RequestListener {
  return (request, response) => {
    const url = new URL(request.url ?? '/', 'http://admin')
    if (request.method !== 'GET') return void response.writeHead(405).end()
    const json = (value: unknown) =>
      response
        .writeHead(200, { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' })
        .end(JSON.stringify(value, null, 2))
    switch (url.pathname) {
      case '/':
        return void response
          .writeHead(200, {
            'content-type': 'text/html; charset=utf-8',
            'cache-control': 'no-store',
            'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'",
          })
          .end(renderPage(stateOf(simulator), callsOf(simulator, new URLSearchParams())))
      case '/state.json':
        return void json(stateOf(simulator))
      case '/calls.json':
        return void json({
          counts: simulator.counts(),
          load: simulator.load(),
          calls: callsOf(simulator, url.searchParams),
        })
      default:
        return void response.writeHead(404).end()
    }
  }
}

export type AdminState = ReturnType<typeof stateOf>

function stateOf(simulator: Watched) {
  const plugins = Map.groupBy(simulator.plugins(undefined, { deleted: true }), ({ spaceId }) => spaceId)
  return {
    origin: simulator.origin,
    now: new Date(simulator.clock.nowMs()).toISOString(),
    switches: simulator.switches,
    counts: simulator.counts(),
    load: simulator.load(),
    spaces: simulator.spaces().map((space) => ({ ...space, plugins: (plugins.get(space.spaceId) ?? []).map(masked) })),
  }
}

function callsOf(simulator: Watched, query: URLSearchParams) {
  const [endpoint, spaceId, pluginId, after] = ['endpoint', 'space', 'plugin', 'after'].map((key) => query.get(key))
  return simulator
    .calls({
      ...(endpoint ? { endpoint } : {}),
      ...(spaceId ? { spaceId } : {}),
      ...(pluginId ? { pluginId } : {}),
      ...(after ? { after: Number(after) } : {}),
    })
    .slice(-CALLS_SHOWN)
    .reverse()
    .map((call): CozeCall => ({ ...call, body: maskBody(call.body) }))
}

function masked(plugin: PluginView): PluginView {
  const meta = (of: PluginView['draft']['meta']) => ({
    ...of,
    auth: { ...of.auth, serviceToken: mask(of.auth.serviceToken), payload: mask(of.auth.payload) },
    commonParams: Object.fromEntries(
      Object.entries(of.commonParams).map(([location, pairs]) => [location, pairs.map(maskPair)]),
    ) as PluginView['draft']['meta']['commonParams'],
  })
  return {
    ...plugin,
    draft: { ...plugin.draft, meta: meta(plugin.draft.meta) },
    online: plugin.online === null ? null : { ...plugin.online, meta: meta(plugin.online.meta) },
    agentHeaders: plugin.agentHeaders?.map(maskPair) ?? null,
  }
}

/** In a body, values sit in `{name, value}` pairs and in the fields of the auth block. */
function maskBody(body: unknown): unknown {
  return JSON.parse(
    JSON.stringify(body ?? null, (key, value: unknown) =>
      ['value', 'service_token', 'auth_payload', 'oauth_info', 'parameters'].includes(key) && typeof value === 'string'
        ? mask(value)
        : value,
    ),
  )
}

function maskPair({ name, value }: NameValue): NameValue {
  return { name, value: mask(value) }
}

function mask(value: string): string {
  return value === '' || value === '{}' ? value : hashText(value)
}
