import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { expectNoAxeViolations, expectNoPageErrors, PHONE, screenshot } from './browser.ts'
import { type ConsoleWorld, registerInstances, registerPlatforms, startConsole } from './world.ts'

let world: ConsoleWorld
let instances: Record<string, string>
let difyId: string
beforeAll(async () => {
  world = await startConsole()
  difyId = (await registerPlatforms(world)).difyId
  instances = await registerInstances(world)
  await world.api.must(200, 'GET', `/platforms/${difyId}/spaces?refresh=true`)
  const { id } = await world.api.must<{ id: string }>(202, 'POST', '/syncs', {
    platformId: difyId,
    instanceIds: [instances.memory],
    spaceIds: 'all',
    acceptWarnings: true,
  })
  await vi.waitFor(
    async () => {
      const { state } = await world.api.must<{ state: string }>(200, 'GET', `/syncs/${id}`)
      expect(state).toBe('succeeded')
    },
    { timeout: 60_000, interval: 500 },
  )
})
afterAll(() => world.stop())

it('a token is revealed to an admin, and that it was is in the audit', async () => {
  const page = await world.signedIn({ path: `/instances/${instances.memory}/access` })
  await page
    .getByRole('button', { name: /^Reveal the token of/ })
    .first()
    .click()
  await page.getByText('Whoever has this can call the MCP server as this space.').waitFor()
  await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click()
  await page.goto(`${world.product.origin}/audit`)
  await page.getByText('reveal', { exact: true }).first().waitFor()
  await screenshot(page, 'audit-en')
  await expectNoAxeViolations(page)
  expectNoPageErrors(page)
})

it('in Chinese the settings say who answers at the gateway’s address, and ask anew', async () => {
  const page = await world.signedIn({ path: '/audit', language: 'zh' })
  const found = {
    url: 'https://mcp.example.com',
    verdict: 'other',
    detail: 'A proxy answers there that does not reach the gateway (HTTP 502).',
    coze: { ok: true, detail: null },
  }
  await page.route('**/api/v1/settings/gateway-check', (route) => route.fulfill({ json: found }))
  await page.goto(`${world.product.origin}/settings`)
  await page.getByText('在平台调用的地址上应答的不是网关。').waitFor()
  await page.getByText('该地址上的代理无法连接网关（HTTP 502）。').waitFor()
  await page.getByText('COZE 接受此地址：https 加域名。').waitFor()
  await expectNoAxeViolations(page)
  await page.unroute('**/api/v1/settings/gateway-check')
  await page.getByRole('button', { name: '重新检查' }).click()
  await page.getByText('网关在平台调用的地址上正常应答。').waitFor()
  expectNoPageErrors(page)
})

it('the pages of an installation in Chinese on a phone', async () => {
  const page = await world.signedIn({ path: '/settings', language: 'zh', viewport: PHONE })
  await page.getByText('网关在平台调用的地址上正常应答。').waitFor()
  await page.getByText('只有本机可以调用此地址。').waitFor()
  await screenshot(page, 'settings-zh-phone')
  await expectNoAxeViolations(page)
  for (const [path, text] of [
    ['/syncs', '新建同步'],
    ['/access', '网关令牌'],
    ['/drift', '这里没有内容'],
    ['/gateway-log', '实时'],
    ['/audit', '操作者'],
    ['/webhooks', '还没有 Webhook'],
    ['/api-keys', '新建 API 密钥'],
  ] as const) {
    await page.goto(world.product.origin + path)
    await page.getByText(text).first().waitFor()
    await screenshot(page, `${path.slice(1)}-zh-phone`)
    await expectNoAxeViolations(page)
  }
  expectNoPageErrors(page)
})
