import { expect, test } from 'vitest'
import { readEvents } from '../../demo/event-stream.ts'

const STREAM =
  ': hello\r\n\r\nevent: endpoint\r\ndata: /message?id=1\r\n\r\nid: 7\ndata: grüße 🔗\ndata:  second\n\ndata:bare\n\ndata: unfinished'

test.each([1, 2, 3, 5, 1000])('events are the same however the bytes are cut (pieces of %d)', async (size) => {
  const bytes = new TextEncoder().encode(STREAM)
  const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
    bytes.subarray(i * size, (i + 1) * size),
  )
  const events = []
  for await (const event of readEvents(ReadableStream.from(pieces))) events.push(event)
  expect(events).toEqual([
    { event: 'endpoint', data: '/message?id=1', id: null },
    { event: 'message', data: 'grüße 🔗\n second', id: '7' },
    { event: 'message', data: 'bare', id: '7' },
  ])
})
