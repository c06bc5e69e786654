import { describe, expect, it } from 'vitest'
import { cronProblem, isTimezone } from '../../src/domain/schedule.ts'

describe('cron expressions', () => {
  it.each(['0 3 * * *', '*/5 * * * *', '0,30 8-18 * * mon-fri', '5 4 1 jan,JUL *', '0 0 * * 7', '1-59/2 * * * *'])(
    '%s is one',
    (cron) => expect(cronProblem(cron)).toBeNull(),
  )
  it.each([
    ['@daily', 'five fields'],
    ['0 0 3 * * *', 'five fields'],
    ['60 * * * *', '"60" is no minute'],
    ['* 24 * * *', 'hour'],
    ['* * 0 * *', 'day of month'],
    ['* * * 13 *', 'month'],
    ['* * * * fry', 'day of week'],
    ['5-1 * * * *', 'minute'],
    ['*/0 * * * *', 'minute'],
    ['*/5/5 * * * *', 'minute'],
    ['1,,2 * * * *', 'minute'],
    ['1-2-3 * * * *', 'minute'],
  ])('%s is none', (cron, word) => expect(cronProblem(cron)).toContain(word))
})

it('time zones are IANA names', () => {
  expect(['UTC', 'Asia/Shanghai', 'Europe/Berlin'].map(isTimezone)).toEqual([true, true, true])
  expect(['Mars/Base', '', '+02:00', '../etc'].map(isTimezone)).toEqual([false, false, false, false])
})
