import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { expectNoAxeViolations, expectNoPageErrors, PHONE, screenshot } from './browser.ts'
import { type ConsoleWorld, registerPlatforms, startConsole } from './world.ts'

let world: ConsoleWorld
beforeAll(async () => {
  world = await startConsole()
})
afterAll(() => world.stop())

const serverUrl = (name: string) => world.servers.find((server) => server.name === name)?.url ?? ''

describe('a newcomer', () => {
  it('is led from the overview to the first server, which is probed at once', async () => {
    const page = await world.signedIn()
    await page.getByText('Three steps to the first tool').waitFor()
    await expectNoAxeViolations(page)
    await screenshot(page, 'overview-first-en')
    await page.getByRole('link', { name: 'MCP servers' }).first().click()
    await page.getByText('No MCP server yet').waitFor()
    await page.getByRole('button', { name: 'Add an MCP server' }).click()
    const form = page.getByRole('dialog')
    await form.getByRole('button', { name: 'Add a header' }).first().click()
    await form.getByLabel('Header', { exact: true }).fill('X-Tenant-Id')
    await form.getByLabel('Value', { exact: true }).fill('acme')
    await form.getByRole('button', { name: 'Save' }).click()
    await form.getByText('Give it a name.').waitFor()
    await form.getByLabel('Name', { exact: true }).fill('everything')
    await form.getByLabel('Address').fill('ftp://nowhere')
    await form.getByRole('button', { name: 'Save' }).click()
    await form.getByRole('alert').filter({ hasText: 'This cannot be used as it is' }).waitFor()
    await form.getByLabel('Address').fill(serverUrl('everything'))
    await expectNoAxeViolations(page)
    await form.getByRole('button', { name: 'Save' }).click()
    await page.getByText('mcp-servers/everything').waitFor()
    await page.getByRole('definition').filter({ hasText: 'X-Tenant-Id' }).waitFor()
    await expectNoAxeViolations(page)
    await screenshot(page, 'instance-en')
    expectNoPageErrors(page)
  })

  it('pastes the JSON of a client, in Chinese; what is wrong in it is said, and nothing is half imported', async () => {
    const page = await world.signedIn({ path: '/instances', language: 'zh' })
    await page.getByRole('button', { name: '导入 JSON' }).click()
    const form = page.getByRole('dialog')
    const box = form.getByLabel('mcpServers JSON')
    await box.fill('{ nonsense')
    await form.getByText('不是有效的 JSON').waitFor()
    await box.fill('{"mcpServers":{"stdio":{"command":"npx"}, "memory":{"url":"http://127.0.0.1:1/mcp"}}}')
    await form.getByText('已识别：stdio, memory').waitFor()
    await form.getByRole('button', { name: '导入' }).click()
    await form.getByRole('alert').filter({ hasText: 'mcpServers.stdio' }).waitFor()
    await box.fill(JSON.stringify({ mcpServers: { memory: { type: 'http', url: serverUrl('memory') } } }))
    await form.getByRole('button', { name: '导入' }).click()
    await page.getByText('已导入 1 个服务器').waitFor()
    await page.getByRole('button', { name: '探测 memory' }).click()
    await page.getByRole('row').filter({ hasText: 'memory' }).getByText('9 个工具').waitFor()
    await expectNoAxeViolations(page)
    await screenshot(page, 'instances-zh')
    expectNoPageErrors(page)
  })
})

describe('the servers', () => {
  it('are changed by one admin at a time; a sealed header stays as it is', async () => {
    const [first, second] = await Promise.all([
      world.signedIn({ path: '/instances?search=everything' }),
      world.signedIn({ path: '/instances?search=everything' }),
    ])
    for (const page of [first, second]) {
      await page.getByRole('link', { name: 'everything' }).click()
      await page.getByRole('button', { name: 'Edit' }).click()
    }
    const describeAs = async (page: typeof first, text: string) => {
      const form = page.getByRole('dialog')
      await expect.poll(() => form.getByLabel('Value', { exact: true }).inputValue()).toBe('••••••••')
      await form.getByLabel(/Description/).fill(text)
      await form.getByRole('button', { name: 'Save' }).click()
    }
    await describeAs(first, 'Said by the first')
    await first.getByText('Said by the first').first().waitFor()
    await describeAs(second, 'Said by the second')
    await second.getByText('Somebody else changed this meanwhile').waitFor()
    const { items } = await world.api.must<{ items: { description: string; headers: object }[] }>(
      200,
      'GET',
      '/instances?search=everything',
    )
    expect(items).toMatchObject([{ description: 'Said by the first', headers: { 'X-Tenant-Id': '••••••••' } }])
  })

  it('say when they were changed, also on a page that has been open for long', async () => {
    const page = await world.signedIn({ path: '/instances?search=everything' })
    await page.clock.install({ time: Date.now() - 600_000 })
    await page.getByRole('link', { name: 'everything' }).click()
    await page.getByRole('button', { name: 'Edit' }).click()
    // The clock goes on, and no timer of the page fires, as in the seconds between two renewals.
    await page.clock.setSystemTime(Date.now())
    const form = page.getByRole('dialog')
    await form.getByLabel(/Description/).fill('Said late')
    await form.getByRole('button', { name: 'Save' }).click()
    await form.waitFor({ state: 'detached' })
    const { items } = await world.api.must<{ items: { updatedAt: string }[] }>(
      200,
      'GET',
      '/instances?search=everything',
    )
    const changed = page.locator('dl > div').filter({ has: page.getByText('Changed', { exact: true }) })
    const time = changed.locator(`time[datetime="${items[0]?.updatedAt}"]`)
    // Right away: the page renews its times by itself, a quarter of a minute later.
    expect(await time.textContent()).not.toMatch(/^in /)
  })

  it('have limits at the gateway, which a form that never showed them leaves alone', async () => {
    const page = await world.signedIn({ path: '/instances?search=memory' })
    await page.getByRole('link', { name: 'memory' }).click()
    const form = page.getByRole('dialog')
    const saved = async () => {
      await form.getByRole('button', { name: 'Save' }).click()
      await form.waitFor({ state: 'detached' })
      const { items } = await world.api.must<{ items: { limits: object }[] }>(200, 'GET', '/instances?search=memory')
      return items[0]?.limits
    }
    await page.getByRole('button', { name: 'Edit' }).click()
    await form.getByText('Limits at the gateway').click()
    await form.getByLabel('Until an answer begins, in seconds').fill('2.5')
    await form.getByLabel('Calls a second').fill('20')
    await expectNoAxeViolations(page)
    expect(await saved()).toMatchObject({ headersTimeoutMs: 2500, requestsPerSecond: 20 })
    await page.getByRole('button', { name: 'Edit' }).click()
    await form.getByLabel(/Description/).fill('Remembers')
    expect(await saved()).toMatchObject({ headersTimeoutMs: 2500, requestsPerSecond: 20 })
    expectNoPageErrors(page)
  })

  it('that do not answer say why, in the language chosen', async () => {
    const { id } = await world.api.must<{ id: string }>(201, 'POST', '/instances', {
      name: 'Nobody there',
      url: 'http://127.0.0.1:9/mcp',
    })
    const page = await world.signedIn({ path: `/instances/${id}`, language: 'zh' })
    await page.getByRole('button', { name: '探测' }).click()
    await page.getByText('无法连接 MCP 服务器').waitFor()
    await page.getByText('请检查其是否运行').waitFor()
  })

  it('are deleted after asking', async () => {
    const page = await world.signedIn({ path: '/instances?search=Nobody' })
    await page.getByRole('link', { name: 'Nobody there' }).click()
    await page.getByRole('button', { name: 'Delete' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
    await page.getByText('Nobody there is deleted.').waitFor()
    await page.waitForURL(/\/instances$/)
    await page.getByRole('link', { name: 'memory' }).waitFor()
  })
})

describe('the tools', () => {
  it('are shown with what they take, and tried: directly, and through the gateway as a space', async () => {
    const { difyId } = await registerPlatforms(world)
    const { items } = await world.api.must<{ items: { id: string }[] }>(200, 'GET', '/instances?search=everything')
    const instanceId = items[0]?.id ?? ''
    const sync = await world.api.must<{ id: string }>(202, 'POST', '/syncs', {
      platformId: difyId,
      instanceIds: [instanceId],
      spaceIds: 'all',
      acceptWarnings: true,
    })
    await expect
      .poll(async () => (await world.api.must<{ state: string }>(200, 'GET', `/syncs/${sync.id}`)).state, {
        timeout: 60_000,
      })
      .toBe('succeeded')

    const page = await world.signedIn({ path: `/instances/${instanceId}/tools` })
    await page.getByLabel('Search tools').fill('sum')
    await page.getByText('get-sum').click()
    await page.getByRole('row').filter({ hasText: 'First number' }).filter({ hasText: 'required' }).waitFor()
    await expectNoAxeViolations(page)
    await screenshot(page, 'instance-tools-en')
    await page.getByRole('link', { name: 'Try it in the playground' }).click()
    await page.getByLabel('Arguments (JSON)').fill('{"a": 2')
    await page.getByText('This is not a JSON object.').waitFor()
    await page.getByLabel('Arguments (JSON)').fill('{"a": 2, "b": 40}')
    await page.getByRole('button', { name: 'Call' }).click()
    await page.getByRole('status').getByText('The sum of 2 and 40 is 42.').waitFor()

    await page.getByLabel('Call it as').click()
    await page.getByText('Customer Care, through the gateway').click()
    await page.getByRole('button', { name: 'Call' }).click()
    await expect
      .poll(async () => {
        const logs = await world.api.must<{ items: { toolName: string | null; bindingId: string | null }[] }>(
          200,
          'GET',
          `/gateway/logs?instanceId=${instanceId}&tool=get-sum`,
        )
        return logs.items.filter(({ bindingId }) => bindingId !== null).length
      })
      .toBe(1)
    await expectNoAxeViolations(page)
    await screenshot(page, 'instance-playground-en')
    expectNoPageErrors(page)
  })

  it('are called through the gateway only as a binding of the same instance', async () => {
    const { items } = await world.api.must<{ items: { id: string }[] }>(200, 'GET', '/instances?search=memory')
    const bindings = await world.api.must<{ items: { id: string }[] }>(200, 'GET', '/bindings')
    const answer = await world.api.call('POST', `/instances/${items[0]?.id}/tools/read_graph/call`, {
      bindingId: bindings.items[0]?.id,
    })
    expect(answer).toMatchObject({ status: 422, body: { code: 'invalid_field' } })
  })
})

it('the overview counts what there is, and says what needs attention, on a phone and in Chinese', async () => {
  world.coze.simulator.loseSession({ userId: world.coze.user.userId })
  const { items } = await world.api.must<{ items: { id: string }[] }>(200, 'GET', '/platforms?kind=coze')
  await world.api.must(200, 'POST', `/platforms/${items[0]?.id}/check`, {})
  const page = await world.signedIn({ language: 'zh', viewport: PHONE })
  await page
    .getByRole('link', { name: '3 已同步' })
    .or(page.getByRole('link', { name: '已同步 3' }))
    .waitFor()
  await page.getByRole('link', { name: 'Sync to Demo Dify' }).waitFor()
  await expectNoAxeViolations(page)
  await screenshot(page, 'overview-phone-zh')
  await page.getByRole('link', { name: 'Demo COZE 没有可用的凭据' }).click()
  await page.getByRole('dialog').filter({ hasText: 'Demo COZE 的新 Cookie' }).waitFor()
  expectNoPageErrors(page)
})
