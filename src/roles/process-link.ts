/** Questions and answers between a process and its child over the IPC channel of node:child_process. Both ends are ours. */

/** What one end answers, by kind; a promise is answered when it settles, a throw is told to whoever asked. */
export type Answers = { readonly [kind: string]: (body: never) => unknown }

/** The part of `process` and of `cluster.Worker` that carries messages. */
export type Channel = {
  send(message: object, done: (error: Error | null) => void): void
  onMessage(listener: (message: unknown) => void): void
}

export type Link<Theirs extends Answers> = {
  /** Rejects when the other end failed, is gone, or has not answered after `timeoutMs`. */
  ask<Kind extends keyof Theirs & string>(
    kind: Kind,
    body: Parameters<Theirs[Kind]>[0],
    timeoutMs: number,
  ): Promise<Awaited<ReturnType<Theirs[Kind]>>>
  /** As `ask`, for what needs no answer. A channel that is closed swallows it: the other end is gone. */
  tell<Kind extends keyof Theirs & string>(kind: Kind, body: Parameters<Theirs[Kind]>[0]): void
  /** Rejects everything that still waits for an answer. */
  close(): void
}

type Message =
  | { link: 'ask'; id: number; kind: string; body: unknown }
  | { link: 'tell'; kind: string; body: unknown }
  | { link: 'answer'; id: number; body: unknown; error: string | null }

type Waiting = { settle: (body: unknown, error: string | null) => void }

export function createLink<Theirs extends Answers>(channel: Channel, answers: Answers): Link<Theirs> {
  const waiting = new Map<number, Waiting>()
  let lastId = 0

  const send = (message: Message, onError: (error: Error) => void = () => undefined) =>
    channel.send(message, (error) => error !== null && onError(error))

  // Both ends are one version of one program: what arrives is what was sent.
  const reply = async (kind: string, body: unknown): Promise<unknown> => await answers[kind]?.(body as never)

  channel.onMessage((received) => {
    if (!isMessage(received)) return
    if (received.link === 'answer') {
      waiting.get(received.id)?.settle(received.body, received.error)
    } else if (received.link === 'tell') {
      void reply(received.kind, received.body)
    } else {
      const { id } = received
      reply(received.kind, received.body).then(
        (body) => send({ link: 'answer', id, body, error: null }),
        (error: unknown) => send({ link: 'answer', id, body: null, error: messageOf(error) }),
      )
    }
  })

  return {
    ask: (kind, body, timeoutMs) =>
      new Promise((resolve, reject) => {
        lastId += 1
        const id = lastId
        const settle: Waiting['settle'] = (answer, error) => {
          clearTimeout(timer)
          waiting.delete(id)
          if (error === null) resolve(answer as Awaited<ReturnType<Theirs[typeof kind]>>)
          else reject(new Error(error))
        }
        const timer = setTimeout(() => settle(null, `No answer to «${kind}» within ${timeoutMs} ms.`), timeoutMs)
        waiting.set(id, { settle })
        send({ link: 'ask', id, kind, body }, (error) => settle(null, error.message))
      }),
    tell: (kind, body) => send({ link: 'tell', kind, body }),
    close: () => {
      for (const { settle } of [...waiting.values()]) settle(null, 'The other process is gone.')
    },
  }
}

function isMessage(value: unknown): value is Message {
  return typeof value === 'object' && value !== null && 'link' in value
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
