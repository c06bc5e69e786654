import { EventEmitter } from 'node:events'
import { describe, expect, test } from 'vitest'
import type { Throttled } from '../../src/gateway/throttle.ts'
import { type Channel, createLink } from '../../src/roles/process-link.ts'
import { createAskingThrottle, createThrottleLedger } from '../../src/roles/shared-throttle.ts'

describe('a count for several processes', () => {
  test('is one for all that ask, and forgets what a process had open when it ends', () => {
    const ledger = createThrottleLedger(() => 0)
    const limits = { maxOpenRequests: 2 }
    expect([ledger.take(1, 'a', limits), ledger.take(2, 'a', limits)]).toEqual([null, null])
    expect(ledger.take(3, 'a', limits)).toMatchObject({ code: 'too_many_open' })
    ledger.gone(1)
    expect(ledger.take(3, 'a', limits)).toBeNull()
    expect(ledger.take(3, 'a', limits)).toMatchObject({ code: 'too_many_open' })
    ledger.giveBack(2, 'a')
    expect(ledger.take(2, 'a', limits)).toBeNull()
    // What a process has not taken it cannot give back.
    ledger.giveBack(1, 'a')
    expect(ledger.take(1, 'a', limits)).toMatchObject({ code: 'too_many_open' })
  })

  test('is not asked again before a subject that has used up its rate may come', async () => {
    let nowMs = 0
    let asked = 0
    const ledger = createThrottleLedger(() => nowMs)
    const throttle = createAskingThrottle(
      {
        take: async (key, limits) => {
          asked += 1
          return ledger.take(1, key, limits)
        },
        giveBack: (key) => ledger.giveBack(1, key),
      },
      () => nowMs,
    )
    const limits = { requestsPerSecond: 10 }
    for (let i = 0; i < 10; i++) expect(await throttle.take('a', limits)).toBeNull()
    for (let i = 0; i < 100; i++) expect(await throttle.take('a', limits)).toMatchObject({ code: 'rate_limited' })
    expect(asked).toBe(11)
    expect(await throttle.take('b', limits)).toBeNull()
    nowMs = 100
    expect(await throttle.take('a', limits)).toBeNull()
    expect(asked).toBe(13)
  })
})

describe('an answer of who counts', () => {
  test('that comes too late is given back where it admitted, and only there', async () => {
    const ledger = createThrottleLedger(() => 0)
    const answers: PromiseWithResolvers<Throttled | null>[] = []
    const given: string[] = []
    const throttle = createAskingThrottle(
      {
        take() {
          const answer = Promise.withResolvers<Throttled | null>()
          answers.push(answer)
          return answer.promise
        },
        giveBack(key) {
          given.push(key)
          ledger.giveBack(1, key)
        },
      },
      () => 0,
      5,
    )
    const limits = { maxOpenRequests: 1 }
    await expect(throttle.take('a', limits)).rejects.toThrow('within 5 ms')
    answers[0]?.resolve(ledger.take(1, 'a', limits))
    await answers[0]?.promise
    expect(given).toEqual(['a'])
    expect(ledger.take(2, 'a', limits)).toBeNull()
    await expect(throttle.take('a', limits)).rejects.toThrow('within 5 ms')
    answers[1]?.resolve(ledger.take(1, 'a', limits))
    await answers[1]?.promise
    expect(given).toEqual(['a'])
  })
})

describe('a link between two processes', () => {
  /** Two ends whose messages go as JSON, as over the channel of a child process. */
  function channels(): [Channel, Channel] {
    const wires = [new EventEmitter(), new EventEmitter()] as const
    const end = (out: EventEmitter, into: EventEmitter): Channel => ({
      send: (message, done) => {
        out.emit('message', JSON.parse(JSON.stringify(message)))
        done(null)
      },
      onMessage: (listener) => void into.on('message', listener),
    })
    return [end(wires[0], wires[1]), end(wires[1], wires[0])]
  }

  test('carries answers, failures and silence', async () => {
    const [here, there] = channels()
    const answers = {
      double: (n: number) => n * 2,
      fail: (_: null) => {
        throw new Error('no')
      },
      never: (_: null) => new Promise<void>(() => undefined),
    }
    createLink<Record<never, never>>(there, answers)
    const link = createLink<typeof answers>(here, {})
    expect(await Promise.all([link.ask('double', 2, 1_000), link.ask('double', 4, 1_000)])).toEqual([4, 8])
    await expect(link.ask('fail', null, 1_000)).rejects.toThrow('no')
    await expect(link.ask('never', null, 5)).rejects.toThrow('within 5 ms')
    const waiting = link.ask('never', null, 60_000)
    link.close()
    await expect(waiting).rejects.toThrow('gone')
  })
})
