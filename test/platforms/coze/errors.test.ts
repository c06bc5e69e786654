import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { ErrorType } from '../../../src/domain/errors.ts'
import type { CozeBudget } from '../../../src/platforms/coze/budget.ts'
import { type CozeFault, refusedByCode } from '../../../src/platforms/coze/errors.ts'
import { type CozeWorld, never, openCozeWorld } from './world.ts'

/** What COZE says and what becomes of it: one type of §10 for each, with COZE's code, words and log id (coze.md §3.4). */

const place = { endpoint: '/api/plugin_api/x', httpStatus: 200, logId: '20260105ABC' }

describe('a refusal', () => {
  it.each<[string, string, ErrorType, CozeFault]>([
    ['700012006', '登录校验不合法', 'CredentialExpired', 'login'],
    ['401', 'unauthorized', 'CredentialExpired', 'login'],
    ['700012014', '检测到您的网络发出了异常流量', 'HumanVerificationNeeded', 'risk'],
    ['700012015', '', 'Forbidden', 'forbidden'],
    ['700015002', '', 'Forbidden', 'forbidden'],
    ['702082020', '', 'Forbidden', 'forbidden'],
    ['702095072', '', 'Forbidden', 'forbidden'],
    ['720092020', '', 'InvalidDesiredState', 'input'],
    ['702095075', '', 'InvalidDesiredState', 'input'],
    ['702095081', '', 'InvalidDesiredState', 'input'],
    ['700012050', '', 'InvalidDesiredState', 'input'],
    ['700012034', '', 'Forbidden', 'forbidden'],
    ['702093022', '', 'Conflict', 'duplicateName'],
    ['702092010', '', 'Conflict', 'duplicateName'],
    ['702093021', '', 'InvalidDesiredState', 'input'],
    ['702042018', '', 'Forbidden', 'forbidden'],
    ['702042162', '', 'Forbidden', 'forbidden'],
    ['777074011', '', 'Forbidden', 'forbidden'],
    ['777777759', '当前编辑版本已过期', 'Conflict', 'editConflict'],
    ['777777759', '其他用户正在编辑，当前无法提交变更', 'Conflict', 'locked'],
    ['109000000', 'invalid parameter', 'InvalidDesiredState', 'input'],
    ['109000000', '版本号必须大于当前线上版本', 'Conflict', 'versionTooLow'],
    ['109000001', '', 'Forbidden', 'forbidden'],
    ['109000005', '', 'TargetGone', 'notFound'],
    ['109000011', '', 'UpstreamUnreachable', 'notReady'],
    ['111000001', '', 'Forbidden', 'forbidden'],
    // Codes that nobody knows: by the words.
    ['999000001', '请先登录', 'CredentialExpired', 'login'],
    ['999000001', '请完成人机验证', 'HumanVerificationNeeded', 'risk'],
    ['999000001', '其他用户正在编辑', 'Conflict', 'locked'],
    ['999000001', 'edit_version is stale', 'Conflict', 'editConflict'],
    ['999000001', 'version must be greater', 'Conflict', 'versionTooLow'],
    ['999000001', '没有权限', 'Forbidden', 'forbidden'],
    ['999000001', '插件数量已达上限', 'Forbidden', 'forbidden'],
    ['999000001', '名称已存在', 'Conflict', 'duplicateName'],
    ['999000001', '资源不存在', 'TargetGone', 'notFound'],
    ['999000001', '插件已被删除', 'TargetGone', 'notFound'],
    ['999000001', 'the plugin was deleted', 'TargetGone', 'notFound'],
    ['999000001', 'the plugin is in use and cannot be deleted', 'InvalidDesiredState', 'refused'],
    ['999000001', '请求过于频繁', 'RateLimited', 'rateLimited'],
    ['999000001', '系统繁忙，请稍后再试', 'Unavailable', 'busy'],
    ['999000001', '!', 'InvalidDesiredState', 'refused'],
  ])('%s “%s”: %s', (code, words, type, fault) => {
    const error = refusedByCode({ ...place, code, words })
    expect(error).toMatchObject({ type, fault, code, logId: place.logId, endpoint: place.endpoint })
    expect(error.message).toContain(`code ${code}`)
    expect(error.message).toContain(place.logId)
    if (words !== '') expect(error.message).toContain(words)
  })
})

// What COZE says of a refresh it may have from the MCP server, whose words are not about the login or the account (coze.md §2.7).
it.each<[string, CozeFault]>([
  ['获取MCP工具失败: HTTP 401: login required', 'refused'],
  ['获取MCP工具失败: HTTP 403 Forbidden (captcha)', 'refused'],
  ['获取MCP工具失败: HTTP 404 not found', 'refused'],
  ['获取MCP工具失败: HTTP 429: too many requests', 'refused'],
  ['获取MCP工具失败: 未登录', 'refused'],
  ['登录校验不合法', 'login'],
  ['其他用户正在编辑，当前无法提交变更', 'locked'],
])('words that may be quoted judge little: “%s”', (words, fault) => {
  const error = refusedByCode({ ...place, code: '720092061', words, quotesOthers: true })
  expect(error.fault).toBe(fault)
  expect(error.message).toContain(words)
})

describe('what is said of a call', () => {
  let world: CozeWorld
  beforeAll(async () => {
    world = await openCozeWorld()
  })
  afterEach(() => world.simulator.faults.clear())
  afterAll(async () => {
    await world.close()
  })
  const said = async (msg: string): Promise<string> => {
    world.simulator.faults.add({ endpoint: 'space/list', fault: { kind: 'business-error', code: 999000001, msg } })
    return await world
      .open()
      .listSpaces({ signal: never() })
      .then(
        () => 'nothing',
        (error: Error) => error.message,
      )
  }

  it('holds COZE’s words without the cookie, tokens, or what follows a question mark, and no more than a few', async () => {
    const session = /sessionid=([^;]+)/.exec(world.account.cookie)?.[1] ?? ''
    const message = await said(
      `no: ${session} Bearer tfg_secretsecretsecret https://x.test/?key=secret ${'long '.repeat(200)}`,
    )
    expect(message).toMatch(/code 999000001.*“no: … … https:\/\/x\.test\/ long.*log id/)
    for (const secret of [session, 'tfg_secret', 'key=secret']) expect(message).not.toContain(secret)
    expect(message.length).toBeLessThan(500)
  })

  it('asks for no more than an hour, whatever Retry-After says: all calls of the account wait for it', async () => {
    const tenYearsS = 10 * 365 * 86_400
    world.simulator.faults.add({ endpoint: 'space/list', fault: { kind: 'rate-limited', retryAfter: tenYearsS } })
    const held: number[] = []
    const budget: CozeBudget = {
      take: async () => async () => {},
      holdUntil: async (_key, atMs) => void held.push(atMs),
    }
    const nowMs = world.clock.nowMs()
    const error = await world
      .open({ budget })
      .listSpaces({ signal: never() })
      .then(
        () => null,
        (thrown: unknown) => thrown,
      )
    expect(error).toMatchObject({ type: 'RateLimited', retryAfterMs: 3_600_000 })
    expect(held).toEqual([nowMs + 3_600_000])
  })

  it.each([{ text: 'no' }, ['no'], 7])('of which COZE says %j is refused all the same', async (msg) => {
    expect(await said(msg as never)).toMatch(/code 999000001.*log id/)
  })

  it.each([null, {}, true])('whose code is %j is no answer', async (code) => {
    const from = { endpoint: 'space/list', times: 3 }
    world.simulator.faults.add({ ...from, fault: { kind: 'business-error', code: code as never, msg: '' } })
    await expect(world.open().listSpaces({ signal: never() })).rejects.toMatchObject({ type: 'Unavailable' })
  })

  it('is one line, whatever COZE sends', async () => {
    expect(await said('one\r\ntwo\u0000three')).toMatch(/“one two three”/)
  })
})
