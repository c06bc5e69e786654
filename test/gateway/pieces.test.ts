import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { queryObjects } from 'node:v8'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type BodyOutcome, readBody } from '../../src/gateway/body.ts'
import type { ClientRequest, ClientResponse } from '../../src/gateway/client.ts'
import { createFrontDoor } from '../../src/gateway/front-door.ts'
import { Pieces } from '../../src/gateway/pieces.ts'
import { RequestBody } from '../../src/gateway/request-body.ts'
import { EventSplitter } from '../../src/gateway/sse.ts'

const COUNT = 50_000
/** Of one byte each. */
const bytes = Array.from({ length: COUNT }, (_, index) => 97 + (index % 26))
const whole = Buffer.from(bytes)

/** How many buffers live, once all garbage is gone. */
const buffers = (): number => queryObjects(Buffer, { format: 'count' })

describe('bytes that are kept until they are whole', () => {
  it('are the same in the end, whatever the pieces', () => {
    const sizes = fc.array(
      fc.oneof({ weight: 20, arbitrary: fc.integer({ min: 0, max: 3 }) }, fc.constantFrom(1023, 1024, 5000)),
      { maxLength: 1_000, size: 'max' },
    )
    fc.assert(
      fc.property(sizes, (all) => {
        const pieces = new Pieces()
        const given = all.map((size, index) => Buffer.alloc(size, index))
        for (const piece of given) pieces.push(piece)
        const expected = Buffer.concat(given)
        expect(pieces.bytes).toBe(expected.length)
        expect(pieces.take().equals(expected)).toBe(true)
        expect([pieces.bytes, pieces.take().length]).toEqual([0, 0])
        for (const piece of given) pieces.push(piece)
        const few = pieces.takeFew()
        expect(few.length).toBeLessThan(65)
        const body = new RequestBody(few)
        expect([body.length, body.joined().equals(expected), pieces.bytes]).toEqual([expected.length, true, 0])
      }),
    )
  })

  it('take the memory of a body that comes byte by byte, and little more', () => {
    const listeners: { data?: (chunk: Buffer) => void; end?: () => void } = {}
    const req = {
      headers: {},
      complete: true,
      on: (event: 'data' | 'end', listener: () => void) => Object.assign(listeners, { [event]: listener }),
    }
    const outcomes: BodyOutcome[] = []
    const options = { maxBytes: COUNT, budget: { usedBytes: 0, maxBytes: COUNT }, timeoutMs: 1_000 }
    readBody(req as unknown as ClientRequest, options, (outcome) => outcomes.push(outcome))
    const before = buffers()
    for (const byte of bytes) listeners.data?.(Buffer.from([byte]))
    expect(buffers() - before).toBeLessThan(COUNT / 20)
    listeners.end?.()
    const [outcome] = outcomes
    expect(outcomes).toHaveLength(1)
    expect(outcome?.kind === 'whole' && outcome.body.joined().equals(whole)).toBe(true)
  })

  it('take the memory of an event that comes byte by byte, and little more', () => {
    const splitter = new EventSplitter(COUNT)
    const before = buffers()
    for (const byte of bytes) expect([...splitter.push(Buffer.from([byte]))]).toEqual([])
    expect(buffers() - before).toBeLessThan(COUNT / 20)
    expect([...splitter.push(Buffer.from('\n\n'))]).toEqual([Buffer.concat([whole, Buffer.from('\n\n')])])
  })

  it('take the memory of what a client sends before its turn byte by byte, and little more', async () => {
    const handled: ClientResponse[] = []
    const handedOver: Buffer[] = []
    const door = createFrontDoor({
      takes: () => true,
      handle: (req, res) => {
        req.resume()
        handled.push(res)
      },
      handOver: (socket) => void socket.on('data', (chunk: Buffer) => handedOver.push(chunk)),
      headersTimeoutMs: 30_000,
      keepAliveMs: 30_000,
    })
    const socket = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() })
    door.accept(socket as Socket)
    socket.push('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n')
    await turn()
    const before = buffers()
    for (const byte of bytes) socket.push(Buffer.from([byte]))
    await turn()
    expect(buffers() - before).toBeLessThan(COUNT / 20)
    handled[0]?.writeHead(200, ['content-length', '0'])
    handled[0]?.end()
    await turn()
    expect(Buffer.concat(handedOver).equals(whole)).toBe(true)
    socket.destroy()
  })
})
