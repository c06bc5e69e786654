import { ApplicationFailure, CancelledFailure, Context } from '@temporalio/activity'
import { defaultFailureConverter, defaultPayloadConverter } from '@temporalio/common'
import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { GivenUp, inActivity } from '../../activities/in-activity.ts'
import { ERROR_FACTS, type ErrorType, ToolferryError } from '../../src/domain/errors.ts'
import { recordingLogger, silentLogger } from '../support/logger.ts'
import { mockActivity } from './activity-world.ts'

const CANARY = 'canary-password-3f9a'

/** What an activity's body ends as, seen from Temporal. */
async function failureOf(thrown: unknown, logger = silentLogger): Promise<ApplicationFailure> {
  const env = mockActivity()
  const failure: unknown = await env
    .run(() => inActivity(logger, { syncId: 'sync-1' }, () => Promise.reject(thrown)))
    .catch((error: unknown) => error)
  if (!(failure instanceof ApplicationFailure)) throw new Error('not an ApplicationFailure', { cause: failure })
  return failure
}

/** Every byte that goes to the server with a failure. */
function sent(failure: ApplicationFailure): string {
  return JSON.stringify(defaultFailureConverter.errorToFailure(failure, defaultPayloadConverter))
}

describe('inActivity', () => {
  it('hands back what the body answers', async () => {
    const env = mockActivity()
    expect(await env.run(() => inActivity(silentLogger, {}, async () => 42))).toBe(42)
  })

  it('that is over at once sends no heartbeat', async () => {
    const env = mockActivity({ heartbeatTimeoutMs: 30_000 })
    const beats: unknown[] = []
    env.on('heartbeat', (details) => beats.push(details))
    await env.run(() => inActivity(silentLogger, {}, async () => undefined))
    expect(beats).toEqual([])
  })

  it('heartbeats while the body works, and stops with it', async () => {
    vi.useFakeTimers()
    try {
      const env = mockActivity({ heartbeatTimeoutMs: 60_000 })
      let beats = 0
      env.on('heartbeat', () => {
        beats += 1
      })
      const work = Promise.withResolvers<void>()
      const run = env.run(() => inActivity(silentLogger, {}, () => work.promise))
      // After one second, and every five from then on.
      await vi.advanceTimersByTimeAsync(11_000)
      expect(beats).toBe(3)
      expect(vi.getTimerCount()).toBe(1)
      work.resolve()
      await run
      expect(vi.getTimerCount()).toBe(0)
    } finally {
      vi.useRealTimers()
    }
  })

  it('heartbeats what is to be known in the next attempt, which knows it from the beginning', async () => {
    vi.useFakeTimers()
    try {
      const env = mockActivity({ heartbeatTimeoutMs: 60_000, heartbeatDetails: 2 })
      const beats: unknown[] = []
      env.on('heartbeat', (details) => beats.push(details))
      const work = Promise.withResolvers<void>()
      const run = env.run(() =>
        inActivity(silentLogger, {}, async (_, known) => {
          await work.promise
          known.keep(Number(known.value) + 1)
        }),
      )
      await vi.advanceTimersByTimeAsync(1_000)
      work.resolve()
      await run
      expect(beats).toEqual([2, 3])
    } finally {
      vi.useRealTimers()
    }
  })

  it('ends for good when the body has given up, with the type and message of why', async () => {
    const failure = await failureOf(new GivenUp(new ToolferryError('UpstreamUnreachable', 'It is away.')))
    expect(failure).toMatchObject({ type: 'UpstreamUnreachable', message: 'It is away.', nonRetryable: true })
    expect(sent(failure)).not.toMatch(/in-activity|node_modules|file:/)
  })

  it.each(Object.keys(ERROR_FACTS) as ErrorType[])(
    '%s keeps its type and message, and is retried if that can help',
    async (type) => {
      const failure = await failureOf(new ToolferryError(type, 'What happened, and what to do.'))
      expect(failure.type).toBe(type)
      expect(failure.message).toBe('What happened, and what to do.')
      // An unexpected error may be a passing one.
      expect(failure.nonRetryable).toBe(type === 'Bug' ? false : !ERROR_FACTS[type].retryable)
      expect(failure.nextRetryDelay ?? null).toBeNull()
    },
  )

  it('asks for the next attempt when the platform wants it', async () => {
    const failure = await failureOf(new ToolferryError('RateLimited', 'Slow down.', { retryAfterMs: 12_345 }))
    expect(failure.nextRetryDelay).toBe(12_345)
    expect(failure.nonRetryable).toBe(false)
  })

  it('tells Temporal nothing of an unexpected error but that it was one', async () => {
    class OddError extends Error {
      readonly detail = CANARY
      override readonly name = CANARY
    }
    const odd = new OddError(`connect to ${CANARY}`, { cause: new Error(CANARY) })
    for (const thrown of [odd, CANARY, { message: CANARY }, undefined]) {
      const { logger, lines } = recordingLogger()
      const failure = await failureOf(thrown, logger)
      expect(failure.type).toBe('Bug')
      expect(sent(failure)).not.toContain(CANARY)
      expect(lines.filter((line) => line.level === 'error')).toHaveLength(1)
    }
  })

  it('nor the cause of an expected one, nor where the product is installed', async () => {
    const failure = await failureOf(new ToolferryError('Unavailable', 'Not there.', { cause: new Error(CANARY) }))
    expect(sent(failure)).not.toContain(CANARY)
    expect(sent(failure)).not.toMatch(/in-activity|node_modules|file:/)
  })

  it('whatever the text of an unexpected error, none of it leaves', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ minLength: 12, unit: fc.constantFrom(...'qxzwkv0123456789') }), async (text) => {
        expect(sent(await failureOf(new Error(text)))).not.toContain(text)
      }),
      { numRuns: 30 },
    )
  })

  it('leaves a failure of Temporal’s own as it is', async () => {
    const own = ApplicationFailure.nonRetryable('as it is', 'Own')
    expect(await failureOf(own)).toBe(own)
  })

  it('ends as cancelled when it was cancelled, whatever the call in flight threw for it', async () => {
    for (const error of [
      new Error('socket hang up'),
      new ToolferryError('Timeout', 'Too long.'),
      new DOMException('x', 'AbortError'),
    ]) {
      const env = mockActivity()
      const ended = env.run(() =>
        inActivity(silentLogger, {}, async (signal) => {
          expect(signal).toBe(Context.current().cancellationSignal)
          await new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(error)))
        }),
      )
      env.cancel('CANCELLED')
      await expect(ended).rejects.toBeInstanceOf(CancelledFailure)
    }
  })

  it('what was done before the cancellation could reach it counts', async () => {
    const env = mockActivity()
    const ended = env.run(() =>
      inActivity(silentLogger, {}, async (signal) => {
        env.cancel()
        return signal.aborted
      }),
    )
    expect(await ended).toBe(true)
  })
})
