import { createHmac, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A receiver of webhooks as anybody would write one: it keeps what it got, and answers as the test says. */

export type Received = { path: string; headers: IncomingHttpHeaders; body: string }

export type Receiver = {
  origin: string
  received: Received[]
  /** Called for each message, with how many came before it; without an answer from it: 204. */
  answer: (response: ServerResponse, nth: number, message: Received) => void
  /** Resolves once that many messages have come. */
  until(count: number): Promise<void>
  close(): Promise<void>
}

export async function startReceiver(answer?: Receiver['answer']): Promise<Receiver> {
  const waiting = new Set<{ count: number; resolve: () => void }>()
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part)
    const message = {
      path: request.url ?? '',
      headers: request.headers,
      body: Buffer.concat(parts).toString('utf8'),
    }
    receiver.received.push(message)
    for (const waiter of waiting) if (receiver.received.length >= waiter.count) waiter.resolve()
    receiver.answer(response, receiver.received.length - 1, message)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const receiver: Receiver = {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received: [],
    answer: answer ?? ((response) => response.writeHead(204).end()),
    until: (count) =>
      new Promise((resolve) => {
        if (receiver.received.length >= count) resolve()
        else waiting.add({ count, resolve })
      }),
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return receiver
}

/** As docs/notifications.md shows it: any of the signatures may be right, and the time must be near. */
export function verifies({ headers, body }: Received, secret: string): boolean {
  const id = headers['webhook-id']
  const timestamp = headers['webhook-timestamp']
  if (Math.abs(Date.now() / 1000 - Number(timestamp)) > 300) return false
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64')
  const expected = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest()
  return String(headers['webhook-signature'])
    .split(' ')
    .map((signature) => signature.split(','))
    .some(([version, text]) => {
      const given = Buffer.from(text ?? '', 'base64')
      return version === 'v1' && given.length === expected.length && timingSafeEqual(given, expected)
    })
}
