import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { announcesTools, createToolHints } from '../../src/gateway/tool-hints.ts'
import { recordingLogger, silentLogger } from '../support/logger.ts'
import type { Upstream, World } from './world.ts'
import { answerJson, createUpstream, createWorld, mcpUrl, openStream, ping, post, sseUrl } from './world.ts'

/** An upstream that says on a client's stream that its tools have changed. */

const CHANGED = '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}'
const event = (data: string) => `event: message\ndata: ${data}\n\n`

describe('a part of a stream', () => {
  test.each([
    event(CHANGED),
    `id: 7\n${event(CHANGED)}`,
    event(CHANGED.replaceAll('/', '\\/')),
    event('{ "method" : "notifications/tools/list_changed", "jsonrpc" : "2.0", "params" : {} }'),
    event(CHANGED) + event('x'.repeat(100_000)),
  ])('that begins with it announces changed tools: %.80s', (text) => {
    expect(announcesTools(Buffer.from(text))).toBe(true)
  })

  test.each([
    '',
    ': keep-alive\n\n',
    event('{"jsonrpc":"2.0","method":"notifications/prompts/list_changed"}'),
    event('{"jsonrpc":"2.0","method":"notifications/resources/list_changed"}'),
    event('{"jsonrpc":"2.0","id":1,"result":{"capabilities":{"tools":{"listChanged":true}}}}'),
    // What a stream carries is not read through.
    event(`${'x'.repeat(1_000)}${CHANGED}`),
  ])('without it does not: %.80s', (text) => {
    expect(announcesTools(Buffer.from(text))).toBe(false)
  })
})

describe('through the gateway', () => {
  let world: World
  let upstream: Upstream
  let announced: string[] = []
  beforeAll(async () => {
    upstream = await createUpstream()
    world = await createWorld({ toolHints: { announced: (instanceId) => announced.push(instanceId) } })
  })
  afterAll(async () => {
    await world?.close()
    await upstream?.close()
  })
  beforeEach(() => {
    announced = []
  })

  function caller(transport: 'streamable-http' | 'sse' = 'streamable-http', toolAllowList: string[] | null = null) {
    const instance = world.view.addInstance({ url: upstream.url, transport })
    const { token } = world.view.addToken(instance, { toolAllowList })
    return { instance, token, headers: { Authorization: `Bearer ${token}` } }
  }
  const begin = (res: ServerResponse) => res.writeHead(200, { 'content-type': 'text/event-stream' })

  test.each([
    ['as it comes', null],
    ['through a filter of tools', ['echo']],
  ])('it is heard on an open stream, %s, and the client gets it unchanged', async (_how, tools) => {
    const { instance, headers } = caller('streamable-http', tools)
    upstream.answer = (_req, res) => begin(res).end(event(CHANGED))
    const stream = await openStream(mcpUrl(world, instance), { headers })
    let text = ''
    stream.on('data', (part: Buffer) => {
      text += part
    })
    await once(stream, 'end')
    expect(text).toBe(event(CHANGED))
    expect(announced).toEqual([instance.id])
  })

  test('it is heard in the answer to a call, and over HTTP+SSE', async () => {
    const { instance, token } = caller()
    upstream.answer = (_req, res) => {
      begin(res).write(event(CHANGED))
      res.end(event('{"jsonrpc":"2.0","id":1,"result":{}}'))
    }
    expect((await post(mcpUrl(world, instance), token, ping())).status).toBe(200)
    expect(announced).toEqual([instance.id])

    const old = caller('sse')
    upstream.answer = (_req, res) => {
      begin(res).write('event: endpoint\ndata: /messages\n\n')
      res.end(event(CHANGED))
    }
    const stream = await openStream(sseUrl(world, old.instance), { headers: old.headers })
    stream.resume()
    await once(stream, 'end')
    // One read may bring both events: the method then stands in the part's beginning all the same.
    expect(announced).toEqual([instance.id, old.instance.id])
  })

  test('a JSON answer that holds the words announces nothing', async () => {
    const { instance, token } = caller()
    upstream.answer = (_req, res) => answerJson(res, JSON.parse(CHANGED))
    expect((await post(mcpUrl(world, instance), token, ping())).status).toBe(200)
    expect(announced).toEqual([])
  })
})

describe('what is said', () => {
  let noted: string[] = []
  const write = async (instanceId: string) => void noted.push(instanceId)
  beforeEach(() => {
    noted = []
    vi.useFakeTimers()
  })
  afterEach(() => void vi.useRealTimers())

  test('is noted at once, then once a minute at most; the last of it is never lost', async () => {
    const hints = createToolHints({ write, logger: silentLogger })
    for (let time = 0; time < 1_000; time++) hints.announced('a')
    hints.announced('b')
    expect(noted).toEqual(['a', 'b'])
    await vi.advanceTimersByTimeAsync(59_999)
    expect(noted).toEqual(['a', 'b'])
    await vi.advanceTimersByTimeAsync(1)
    expect(noted).toEqual(['a', 'b', 'a'])
    await vi.advanceTimersByTimeAsync(600_000)
    expect(noted).toEqual(['a', 'b', 'a'])
    hints.announced('a')
    expect(noted).toEqual(['a', 'b', 'a', 'a'])
    await hints.close()
  })

  test('and still waits when the gateway ends is noted then', async () => {
    const hints = createToolHints({ write, logger: silentLogger })
    hints.announced('a')
    hints.announced('a')
    hints.announced('b')
    await hints.close()
    hints.announced('c')
    expect(noted).toEqual(['a', 'b', 'a'])
  })

  test('and cannot be noted is logged, and disturbs nobody', async () => {
    const { logger, lines } = recordingLogger()
    const hints = createToolHints({ write: () => Promise.reject(new Error('the store is away')), logger })
    hints.announced('a')
    await hints.close()
    expect(lines.map(({ message }) => message)).toEqual(['that tools may have changed could not be noted'])
  })
})
