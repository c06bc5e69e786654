import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import type { Call } from '../../src/gateway/call.ts'
import type { GatewayJournalEntry } from '../../src/gateway/journal.ts'
import { createJournalWriter } from '../../src/gateway/journal-writer.ts'
import { OpenCalls } from '../../src/gateway/open-calls.ts'
import { isGatewayTarget, parseRoute } from '../../src/gateway/route.ts'
import { EventSplitter, EventTooLargeError, formatEvent, parseEvent } from '../../src/gateway/sse.ts'
import { silentLogger } from '../support/logger.ts'

const entry = (n: number): GatewayJournalEntry => ({
  at: new Date(n),
  instanceId: 'i',
  bindingId: null,
  tokenId: null,
  method: 'ping',
  toolName: null,
  status: 200,
  errorCode: null,
  requestBytes: n,
  responseBytes: 0,
  durationMs: 0,
  traceId: '0'.repeat(32),
})

describe('the calls that are open', () => {
  type Named = Call & { name: string }
  const made = (name: string, isSent = false) =>
    ({ name, place: 0, exchange: isSent ? { name } : null }) as unknown as Named
  const names = (calls: OpenCalls) => calls.all().map((call) => (call as Named).name)

  it('come and go in any order', () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.nat(100), { nil: null })), (steps) => {
        const calls = new OpenCalls()
        const expected: Named[] = []
        for (const [index, step] of steps.entries()) {
          if (step === null || expected.length === 0) {
            const call = made(String(index))
            calls.add(call)
            expected.push(call)
          } else {
            for (const call of expected.splice(step % expected.length, 1)) calls.delete(call)
          }
          expect(new Set(names(calls))).toEqual(new Set(expected.map(({ name }) => name)))
          expect(names(calls)).toHaveLength(expected.length)
        }
      }),
    )
  })

  it('may end while they are gone through, and tell which of them have gone upstream', () => {
    const calls = new OpenCalls()
    for (const call of [made('a', true), made('b'), made('c', true)]) calls.add(call)
    expect(calls.exchanges()).toMatchObject([{ name: 'a' }, { name: 'c' }])
    const seen: string[] = []
    for (const call of calls.all()) {
      seen.push((call as Named).name)
      calls.delete(call)
    }
    expect([seen, names(calls)]).toEqual([['a', 'b', 'c'], []])
  })
})

describe('the journal writer', () => {
  const LONG_MS = 3_600_000

  it('writes a full batch at once and the rest at the next flush, in order', async () => {
    const batches: number[][] = []
    const write = async (entries: GatewayJournalEntry[]) => void batches.push(entries.map((e) => e.requestBytes))
    const writer = createJournalWriter({ write, logger: silentLogger, batchSize: 3, flushIntervalMs: LONG_MS })
    for (let n = 1; n <= 4; n++) writer.append(entry(n))
    await vi.waitFor(() => expect(batches).toEqual([[1, 2, 3]]), 60_000)
    await writer.close()
    expect(batches).toEqual([[1, 2, 3], [4]])
    writer.append(entry(5))
    expect(writer.dropped()).toBe(1)
  })

  it('flushes by time', async () => {
    const written = Promise.withResolvers<number>()
    const write = async (entries: GatewayJournalEntry[]) => written.resolve(entries.length)
    const writer = createJournalWriter({ write, logger: silentLogger, flushIntervalMs: 5 })
    writer.append(entry(1))
    expect(await written.promise).toBe(1)
    await writer.close()
  })

  it('is bounded and counts what it drops', async () => {
    const gate = Promise.withResolvers<void>()
    const write = vi.fn(() => gate.promise)
    const writer = createJournalWriter({
      write,
      logger: silentLogger,
      batchSize: 2,
      maxQueued: 4,
      flushIntervalMs: LONG_MS,
    })
    for (let n = 1; n <= 10; n++) writer.append(entry(n))
    expect(writer.dropped()).toBe(6)
    gate.resolve()
    await writer.close()
    expect(write).toHaveBeenCalledTimes(2)
  })

  it('tries a refused batch again, and gives it up after some attempts', async () => {
    let refusals = 2
    const written: number[] = []
    const write = async (entries: GatewayJournalEntry[]) => {
      if (refusals-- > 0) throw new Error('no')
      written.push(...entries.map((e) => e.requestBytes))
    }
    const writer = createJournalWriter({
      write,
      logger: silentLogger,
      batchSize: 1,
      flushIntervalMs: LONG_MS,
      maxAttempts: 3,
    })
    writer.append(entry(1))
    await writer.flush()
    await writer.flush()
    await writer.flush()
    expect([written, writer.dropped()]).toEqual([[1], 0])
    refusals = 99
    writer.append(entry(2))
    await writer.close()
    expect([written, writer.dropped()]).toEqual([[1], 1])
  })
})

describe('the event splitter', () => {
  const push = (splitter: EventSplitter, chunk: Buffer) => [...splitter.push(chunk)].map(String)

  const newline = fc.constantFrom('\n', '\r\n', '\r')
  const line = fc.constantFrom('data: x', 'event: endpoint', ': c', 'id: 1', 'data', 'data: ü')
  const block = fc.tuple(fc.array(line, { maxLength: 4 }), newline).map(([lines, nl]) => [...lines, ''].join(nl) + nl)

  it('loses nothing, however the bytes are cut, and cuts after whole events only', () => {
    fc.assert(
      fc.property(fc.array(block, { maxLength: 8 }), fc.array(fc.nat(40)), (blocks, cuts) => {
        const stream = Buffer.from(blocks.join(''))
        const splitter = new EventSplitter(10_000)
        const pieces: Buffer[] = []
        let from = 0
        for (const cut of [...cuts, stream.length]) {
          pieces.push(...splitter.push(stream.subarray(from, from + cut)))
          from = Math.min(stream.length, from + cut)
        }
        expect(Buffer.concat(pieces).toString()).toBe(stream.toString())
        // Reading piece by piece gives the same events as reading each block.
        const read = (parts: Buffer[]) =>
          parts.map(parseEvent).filter(({ otherLines, data }) => data !== null || otherLines.length > 0)
        expect(read(pieces)).toEqual(read(blocks.map((text) => Buffer.from(text))))
      }),
      {
        examples: [
          [
            ['data: x\r\r', '\n', 'data: x\n\n'],
            [9, 1, 1],
          ],
        ],
      },
    )
  })

  it('gives an event out with the byte that ends it', () => {
    const splitter = new EventSplitter(100)
    expect(push(splitter, Buffer.from('data: 1\r\n\r'))).toEqual(['data: 1\r\n\r'])
    expect(push(splitter, Buffer.from('\n'))).toEqual(['\n'])
    expect(push(splitter, Buffer.from('data: 2\n'))).toEqual([])
    expect(push(splitter, Buffer.from('\ndata: 3\n\n'))).toEqual(['data: 2\n\n', 'data: 3\n\n'])
  })

  it('is bounded', () => {
    const splitter = new EventSplitter(10)
    expect(push(splitter, Buffer.from('data: 1\n\n'.repeat(100)))).toHaveLength(100)
    expect(() => push(splitter, Buffer.from('data: 1234567890'))).toThrow(EventTooLargeError)
  })

  it('reads and writes fields', () => {
    const event = parseEvent(Buffer.from('\uFEFFid: 4\nevent:endpoint\ndata: a\ndata:  b\nretry: 5\n\n'))
    expect(event).toEqual({ type: 'endpoint', data: 'a\n b', otherLines: ['id: 4', 'event:endpoint', 'retry: 5'] })
    expect(formatEvent(event, 'x\ny').toString()).toBe('id: 4\nevent:endpoint\nretry: 5\ndata: x\ndata: y\n\n')
  })
})

describe('routes', () => {
  const id = '019aa3b0-1111-7222-8333-444455556666'
  it('are recognised by their exact characters', () => {
    expect(parseRoute(`/mcp-gateway/${id}/mcp`)).toEqual({ kind: 'mcp', instanceId: id })
    expect(parseRoute(`/mcp-gateway/${id}/sse?x=/mcp`)).toEqual({ kind: 'sse', instanceId: id })
    expect(parseRoute(`/mcp-gateway/${id}/sse/${'A'.repeat(40)}`)).toMatchObject({ kind: 'sse-post' })
    expect(parseRoute(`/mcp-gateway/${id}/mcp/${'A'.repeat(40)}`)).toBeNull()
    expect(parseRoute(`http://x/mcp-gateway/${id}/mcp`)).toBeNull()
  })
  it('tell a shared listener what is the gateway’s', () => {
    expect(isGatewayTarget(`/mcp-gateway/${id}/mcp`)).toBe(true)
    expect(isGatewayTarget('/.well-known/oauth-protected-resource')).toBe(true)
    expect(isGatewayTarget('/api/v1/me')).toBe(false)
  })
})
