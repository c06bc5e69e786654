import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BadResponseError, ResponseParser } from '../../src/gateway/response-parser.ts'

type Reading = { status: number; headers: string[]; body: string; reusable: boolean | null; keepAliveMs: number }

/** Reads one response that comes in these pieces and, where `ends`, with the end of the connection behind them. */
function read(pieces: string[], ends = false): Reading {
  const reading: Reading = { status: 0, headers: [], body: '', reusable: null, keepAliveMs: 0 }
  const parser = new ResponseParser({
    onHead: (status, headers) => Object.assign(reading, { status, headers }),
    onBody(chunk) {
      reading.body += chunk.toString('latin1')
    },
    onEnd(reusable) {
      reading.reusable = reusable
    },
  })
  parser.begin()
  for (const piece of pieces) parser.push(Buffer.from(piece, 'latin1'))
  if (ends) parser.close()
  reading.keepAliveMs = parser.keepAliveMs
  return reading
}

const OK = 'HTTP/1.1 200 OK\r\n'

describe('a response', () => {
  it.each([
    ['with a length', `${OK}Content-Length: 3\r\n\r\nabc`, 'abc', true],
    ['without a body', `${OK}Content-Length: 0\r\n\r\n`, '', true],
    ['204', 'HTTP/1.1 204\r\n\r\n', '', true],
    ['304 that tells a length', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n', '', true],
    [
      'in chunks',
      `${OK}Transfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0A;x="y"\r\n0123456789\r\n0\r\n\r\n`,
      'abc0123456789',
      true,
    ],
    ['in chunks, with trailers', `${OK}transfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-A: b\r\n\r\n`, 'a', true],
    [
      'after interim ones',
      `HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 100\r\n\r\n${OK}Content-Length: 1\r\n\r\na`,
      'a',
      true,
    ],
    ['that closes', `${OK}Connection: x, Close\r\nContent-Length: 1\r\n\r\na`, 'a', false],
    ['of HTTP/1.0', 'HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na', 'a', false],
    ['with something behind it', `${OK}Content-Length: 1\r\n\r\nab`, 'a', false],
    ['with another one behind it', `${OK}Content-Length: 1\r\n\r\na${OK}Content-Length: 1\r\n\r\nb`, 'a', false],
    ['with something behind its chunks', `${OK}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nx`, '', false],
    ['whose server keeps connections no longer', `${OK}Keep-Alive: timeout=1\r\nContent-Length: 0\r\n\r\n`, '', false],
  ])('%s is read', (_, text, body, reusable) => {
    expect(read([text])).toMatchObject({ body, reusable })
  })

  it('without a length lasts as long as its connection', () => {
    expect(read([`${OK}\r\nab`, 'c']).reusable).toBeNull()
    expect(read([`${OK}\r\nab`, 'c'], true)).toMatchObject({ body: 'abc', reusable: false })
  })

  it('gives its fields in order, names in lower case, values bare', () => {
    const text = `HTTP/1.1 404 Not Found\r\nX-A:1\r\nx-b: \t two words \t\r\nX-A: \r\nX-C: ä:\r\nContent-Length:0\r\n\r\n`
    const headers = ['x-a', '1', 'x-b', 'two words', 'x-a', '', 'x-c', 'ä:', 'content-length', '0']
    expect(read([text])).toMatchObject({ status: 404, headers })
  })

  it('is read by itself, whatever came before it on the connection', () => {
    const heads: [number, string[]][] = []
    const parser = new ResponseParser({
      onHead: (status, headers) => void heads.push([status, headers]),
      onBody: () => {},
      onEnd: () => {},
    })
    const responses = [
      `${OK}X-A: 1\r\nX-B: 2\r\nContent-Length: 0\r\n\r\n`,
      `${OK}X-A: 1\r\nX-B: 22\r\nContent-Length: 0\r\n\r\n`,
      `HTTP/1.1 404 OK\r\nX-A: 1\r\nContent-Length: 0\r\n\r\n`,
      `${OK}X-A: 1\r\nX-A: 1\r\nX-B: 22\r\nContent-Length: 0\r\n\r\n`,
      `${OK}Content-Length: 0\r\n\r\n`,
    ]
    for (const text of responses) {
      parser.begin()
      parser.push(Buffer.from(text))
    }
    const end = ['content-length', '0']
    expect(heads).toEqual([
      [200, ['x-a', '1', 'x-b', '2', ...end]],
      [200, ['x-a', '1', 'x-b', '22', ...end]],
      [404, ['x-a', '1', ...end]],
      [200, ['x-a', '1', 'x-a', '1', 'x-b', '22', ...end]],
      [200, end],
    ])
  })

  it('says how long its connection may wait, less a margin', () => {
    const keepAliveOf = (seconds: string) =>
      read([`${OK}Keep-Alive: max=9, timeout=${seconds}\r\nContent-Length: 0\r\n\r\n`])
    expect(keepAliveOf('5').keepAliveMs).toBe(3_000)
    expect(keepAliveOf('99999').keepAliveMs).toBe(60_000)
  })

  it.each([
    ['two lengths', `${OK}Content-Length: 1\r\nContent-Length: 1\r\n\r\na`],
    ['a list of lengths', `${OK}Content-Length: 1, 1\r\n\r\na`],
    ['a signed length', `${OK}Content-Length: +1\r\n\r\na`],
    ['an endless length', `${OK}Content-Length: ${'9'.repeat(20)}\r\n\r\na`],
    ['an empty length', `${OK}Content-Length:\r\n\r\na`],
    ['length and chunks', `${OK}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['another coding', `${OK}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
    ['chunked twice', `${OK}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['chunks in HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['a folded line', `${OK}X-A: 1\r\n b\r\nContent-Length: 0\r\n\r\n`],
    ['a space before the colon', `${OK}Content-Length : 0\r\n\r\n`],
    ['a name of nothing', `${OK}: 0\r\n\r\n`],
    ['a line that is no field', `${OK}hello\r\n\r\n`],
    ['a bare LF', `${OK}X-A: 1\nContent-Length: 0\r\n\r\n`],
    ['a bare CR', `${OK}X-A: 1\rContent-Length: 0\r\n\r\n`],
    ['a CR before the end of the head', `${OK}X-A: 1\r\r\n\r\n`],
    ['a head of LF only, though it is not whole', 'HTTP/1.1 200 OK\nContent-Length: 0\n'],
    ['a NUL', `${OK}X-A: \0\r\n\r\n`],
    ['another protocol', 'SSH-2.0-x\r\n\r\n'],
    ['an older protocol', 'HTTP/0.9 200 OK\r\n\r\n'],
    ['a status that is none', 'HTTP/1.1 20 OK\r\n\r\n'],
    ['a status of four digits', 'HTTP/1.1 2000 OK\r\n\r\n'],
    ['a status without a class', 'HTTP/1.1 600 OK\r\n\r\n'],
    ['a change of protocol', 'HTTP/1.1 101 Switching\r\n\r\n'],
    ['interim ones without end', 'HTTP/1.1 100\r\n\r\n'.repeat(20)],
    ['a head without end', `${OK}${'X-A: 1\r\n'.repeat(4_000)}`],
    ['a chunk’s size that is none', `${OK}Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n`],
    ['a chunk’s size without a digit', `${OK}Transfer-Encoding: chunked\r\n\r\n;a\r\n`],
    ['a chunk’s size behind a space', `${OK}Transfer-Encoding: chunked\r\n\r\n 1\r\na\r\n`],
    ['a chunk’s size beyond numbers', `${OK}Transfer-Encoding: chunked\r\n\r\n${'f'.repeat(16)}\r\n`],
    ['a bare LF behind a chunk’s size', `${OK}Transfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n`],
    ['a chunk that is longer than it says', `${OK}Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n`],
    ['a chunk’s line without end', `${OK}Transfer-Encoding: chunked\r\n\r\n1;${'x'.repeat(2_000)}`],
    ['a trailer that is no field', `${OK}Transfer-Encoding: chunked\r\n\r\n0\r\nhello\r\n\r\n`],
    ['trailers without end', `${OK}Transfer-Encoding: chunked\r\n\r\n0\r\n${'X-A: 1\r\n'.repeat(4_000)}`],
  ])('with %s is refused', (_, text) => {
    expect(() => read([text])).toThrow(BadResponseError)
  })

  it.each([`${OK}Content-Length: 3\r\n\r\nab`, `${OK}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n`, OK, ''])(
    'that is cut short is refused (%j)',
    (text) => {
      expect(() => read([text], true)).toThrow(BadResponseError)
    },
  )

  it('is read the same however it is cut', () => {
    const body = fc.string({ unit: fc.constantFrom('a', '\r', '\n', '0', ';', ':', ' '), maxLength: 40 })
    const chunked = fc.array(body.filter((part) => part !== '')).map((parts) => ({
      text: `${OK}X-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n${parts
        .map((part) => `${part.length.toString(16)}\r\n${part}\r\n`)
        .join('')}0\r\nX-T: 1\r\n\r\n`,
      body: parts.join(''),
    }))
    const sized = body.map((text) => ({ text: `${OK}Content-Length: ${text.length}\r\n\r\n${text}`, body: text }))
    const cuts = fc.array(fc.nat({ max: 400 }))
    fc.assert(
      fc.property(fc.oneof(chunked, sized), cuts, (response, at) => {
        const points = [0, ...at.filter((n) => n < response.text.length).sort((a, b) => a - b), response.text.length]
        const pieces = points.slice(1).map((end, index) => response.text.slice(points[index], end))
        const reading = read(pieces.filter((piece) => piece !== ''))
        expect(reading).toEqual({ ...read([response.text]), body: response.body, reusable: true })
      }),
      { numRuns: 500 },
    )
  })

  it('of any bytes is read or refused, and nothing else happens', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        OK,
        'HTTP/1.1 ',
        '\r\n',
        '\r\n\r\n',
        'Content-Length: 3\r\n',
        'Transfer-Encoding: chunked\r\n',
        '1\r\na\r\n',
        '0\r\n',
      ),
      fc.string({ unit: 'binary', maxLength: 20 }),
    )
    fc.assert(
      fc.property(fc.array(piece, { minLength: 1 }), (pieces) => {
        try {
          read(pieces.filter((text) => text !== ''))
        } catch (error) {
          expect(error).toBeInstanceOf(BadResponseError)
        }
      }),
      { numRuns: 2_000 },
    )
  })

  it('costs as much as it is long, whatever its head holds: a thousand are read before the test is given up', () => {
    const head = `${OK}Connection: x${' \t'.repeat(8_000)}x\r\nContent-Length: 0\r\n\r\n`
    for (let i = 0; i < 1_000; i++) expect(read([head]).reusable).toBe(true)
  })

  it('that nobody wants any longer is told no further', () => {
    const told: string[] = []
    const parser = new ResponseParser({
      onHead() {
        told.push('head')
        parser.stop()
      },
      onBody: () => told.push('body'),
      onEnd: () => told.push('end'),
    })
    parser.begin()
    parser.push(Buffer.from(`${OK}Content-Length: 1\r\n\r\na`))
    parser.close()
    expect(told).toEqual(['head'])
  })
})
