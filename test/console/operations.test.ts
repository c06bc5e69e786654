import type { Locator, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { expectNoAxeViolations, expectNoPageErrors, PHONE, screenshot } from './browser.ts'
import { WORDS } from './words.ts'
import { type ConsoleWorld, registerInstances, registerPlatforms, startConsole } from './world.ts'

let world: ConsoleWorld
let instances: Record<string, string>
let difyId: string
let syncId: string
beforeAll(async () => {
  world = await startConsole()
  difyId = (await registerPlatforms(world)).difyId
  instances = await registerInstances(world)
  await world.api.must(200, 'GET', `/platforms/${difyId}/spaces?refresh=true`)
  const sync = await world.api.must<{ id: string }>(202, 'POST', '/syncs', {
    platformId: difyId,
    instanceIds: [instances.memory],
    spaceIds: 'all',
    acceptWarnings: true,
  })
  syncId = sync.id
  await vi.waitFor(
    async () => {
      const { state } = await world.api.must<{ state: string }>(200, 'GET', `/syncs/${syncId}`)
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

it('a run leads to the tools in Dify’s own console, once the platform has its address', async () => {
  const page = await world.signedIn({ path: `/syncs/${syncId}` })
  const drawer = page.getByRole('dialog')
  const openCell = () =>
    page
      .getByRole('button', { name: /^memory in .*: Succeeded/ })
      .first()
      .click()
  await openCell()
  await drawer.getByText('A link to it appears here once the platform has the address').waitFor()
  expect(await drawer.getByRole('link', { name: 'Open Dify’s MCP tools' }).count()).toBe(0)
  await expectNoAxeViolations(page)
  await drawer.getByRole('link', { name: 'Set its address' }).click()

  const form = drawer.filter({ hasText: 'Edit Demo Dify' }).last()
  const field = form.getByLabel('Dify console URL')
  await field.fill('javascript:alert(1)')
  await form.getByRole('button', { name: 'Save' }).click()
  await form.getByText('An address that begins with http:// or https://.').waitFor()
  await field.fill('https://somebody:secret@dify.test')
  await form.getByRole('button', { name: 'Save' }).click()
  await form.getByText('Give scheme, host, port and path only, like https://dify.example.com.').first().waitFor()
  await field.fill('https://dify.test/')
  await expectNoAxeViolations(page)
  await form.getByRole('button', { name: 'Save' }).click()
  await form.waitFor({ state: 'detached' })
  const address = drawer.getByRole('link', { name: 'https://dify.test', exact: true })
  await expect.poll(() => address.getAttribute('href')).toBe('https://dify.test')

  await page.goto(`${world.product.origin}/syncs/${syncId}`)
  await openCell()
  const link = drawer.getByRole('link', { name: 'Open Dify’s MCP tools' })
  await expect.poll(() => link.getAttribute('href')).toBe('https://dify.test/tools?category=mcp')
  expect([await link.getAttribute('target'), await link.getAttribute('rel')]).toEqual(['_blank', 'noreferrer'])
  expect(await drawer.getByRole('link', { name: 'Set its address' }).count()).toBe(0)
  await expectNoAxeViolations(page)
  expectNoPageErrors(page)
})

it.each(['en', 'zh'] as const)(
  'on a phone a bar of tabs that do not fit holds nothing else, and each of them is come to by keyboard (%s)',
  async (language) => {
    const { t } = WORDS[language]
    const page = await world.signedIn({ path: `/instances/${instances.memory}`, language, viewport: PHONE })
    await walkTabs(page)
    const archive = await world.api.must<{ id: string }>(201, 'POST', '/instances', {
      name: `The archive of the northern branch, ${language}`,
      url: 'http://127.0.0.1:9/mcp',
    })
    const ids = [...Object.values(instances), archive.id].join(',')
    await page.goto(`${world.product.origin}/syncs/new?platform=${difyId}&instances=${ids}`)
    await page.getByRole('button', { name: t('sync-wizard:next') }).click()
    await page.locator('thead').getByRole('checkbox').check()
    await page.getByRole('button', { name: t('sync-wizard:next') }).click()
    // Names of servers are as wide in any language.
    expect(await walkTabs(page)).toBeGreaterThan(0)
    expectNoPageErrors(page)
  },
)

/** From the first tab to the last by the arrow keys: each is in sight when it has the focus. Answers how far the last one lay outside, px. */
async function walkTabs(page: Page): Promise<number> {
  const tabs = page.getByRole('tablist').getByRole('tab')
  await tabs.nth(1).waitFor()
  await expectNoAxeViolations(page)
  await tabs.first().click()
  const beyond = await pastTheBar(page, tabs.last())
  const count = await tabs.count()
  for (let place = 1; place < count; place += 1) {
    await page.keyboard.press('ArrowRight')
    await isReached(page, tabs.nth(place))
  }
  await page.keyboard.press('Enter')
  await expect.poll(() => tabs.last().getAttribute('aria-selected')).toBe('true')
  await expectNoAxeViolations(page)
  await page.keyboard.press('Home')
  await isReached(page, tabs.first())
  return beyond
}

async function isReached(page: Page, tab: Locator): Promise<void> {
  await tab.and(page.locator(':focus')).waitFor()
  await expect.poll(() => pastTheBar(page, tab)).toBeLessThanOrEqual(1)
}

/** How much of a tab lies outside its bar, to the left or the right, px. */
async function pastTheBar(page: Page, tab: Locator): Promise<number> {
  const [bar, inner] = await Promise.all([page.getByRole('tablist').boundingBox(), tab.boundingBox()])
  if (bar === null || inner === null) throw new Error('the tab and its bar have no place on the page')
  return Math.max(bar.x - inner.x, inner.x + inner.width - bar.x - bar.width)
}
