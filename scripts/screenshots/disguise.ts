import type { Route } from 'playwright-core'
import { whyCozeRefuses } from '../../src/api/gateway-check.ts'

/**
 * Lets the console show addresses as a company has them, in place of the loopback ports of the moment, and times that are the
 * same in every run: what the API answers is rewritten on its way to the browser, and what the browser sends is written back.
 */
export type Disguise = {
  /** For `page.route` on the API. */
  route: (route: Route) => Promise<void>
  /** What the browser's clock stands at. */
  now: Date
}

export type DisguiseOptions = {
  /** Real text → shown text, in both directions. */
  swaps: [string, string][]
  /** Real text → shown text, in answers only. */
  shown: [string, string][]
  database: { host: string; port: number; user: string; shownHost: string; shownPort: number; shownUser: string }
  /** When the world began: this moment is shown as `STORY_BEGINS`. */
  startedAt: Date
}

const STORY_BEGINS = Date.parse('2026-11-24T08:00:00Z')
/** What happened in the first minutes is two hours ago in every picture, however long it took. */
const LATER_MS = 2.5 * 60 * 60_000
const STEP_MS = 5_000
const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/
const STARTS = ['7Kq2', 'mZx9', 'Lw4R', 't8Vb', '3Nc6', 'Hp5s', 'Yd1g', 'eF0u', 'Ja8k', 'Qb7w']

export function createDisguise(options: DisguiseOptions): Disguise {
  const shiftMs = STORY_BEGINS - options.startedAt.getTime()
  const swapAll = (text: string, pairs: [string, string][]) =>
    pairs.reduce((all, [from, to]) => all.replaceAll(from, to), text)
  const moved = (text: string, byMs: number, stepMs: number) =>
    ISO.test(text) ? new Date(Math.floor((Date.parse(text) + byMs) / stepMs) * stepMs).toISOString() : text

  const show = (value: unknown): unknown => {
    let starts = 0
    return walk(value, (key, text) => {
      if (key === 'start') {
        starts += 1
        return text.replace(/[^_]*$/, STARTS[(starts - 1) % STARTS.length] ?? '')
      }
      return moved(swapAll(text, [...options.swaps, ...options.shown]), shiftMs, STEP_MS)
    })
  }
  const unshow = (value: unknown): unknown =>
    walk(value, (_key, text) =>
      moved(
        swapAll(
          text,
          options.swaps.map(([real, shown]) => [shown, real]),
        ),
        -shiftMs,
        1,
      ),
    )

  const { host, port, user, shownHost, shownPort, shownUser } = options.database
  const database = (value: unknown, from: Place, to: Place): unknown =>
    Array.isArray(value)
      ? value.map((item) => database(item, from, to))
      : isObject(value)
        ? Object.fromEntries(
            Object.entries(isPlace(value, from) ? { ...value, ...to } : value).map(([key, item]) => [
              key,
              database(item, from, to),
            ]),
          )
        : value
  const real = { host, port, user }
  const pretty = { host: shownHost, port: shownPort, user: shownUser }

  return {
    now: new Date(STORY_BEGINS + LATER_MS),
    route: async (route) => {
      const request = route.request()
      if ((await request.headerValue('accept'))?.includes('text/event-stream')) return route.continue()
      const sent = request.postData()
      const isJson = sent !== null && (request.headers()['content-type'] ?? '').includes('json')
      const response = await route.fetch(
        isJson ? { postData: JSON.stringify(database(unshow(JSON.parse(sent)), pretty, real)) } : {},
      )
      if (!(response.headers()['content-type'] ?? '').includes('json')) return route.fulfill({ response })
      const answer = show(database(await response.json(), real, pretty))
      const body = isGatewayCheck(answer) ? { ...answer, coze: ofShown(answer) } : answer
      await route.fulfill({ response, body: JSON.stringify(body) })
    },
  }
}

/** What COZE makes of the address is said of the one shown, by the product's own rules; the one of the moment is this machine's. */
function ofShown({ url }: Record<string, unknown>): { ok: boolean; detail: string | null } {
  const detail = whyCozeRefuses(String(url))
  return { ok: detail === null, detail }
}

function isGatewayCheck(value: unknown): value is Record<string, unknown> {
  return isObject(value) && 'verdict' in value && 'coze' in value
}

type Place = { host: string; port: number; user: string }

function isPlace(value: Record<string, unknown>, place: Place): boolean {
  return value.host === place.host && value.port === place.port
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function walk(value: unknown, change: (key: string, text: string) => string, key = ''): unknown {
  if (typeof value === 'string') return change(key, value)
  if (Array.isArray(value)) return value.map((item) => walk(item, change, key))
  if (!isObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, walk(item, change, name)]))
}
