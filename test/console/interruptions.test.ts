import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { expectNoPageErrors, openPage } from './browser.ts'
import { type ConsoleWorld, registerInstances, registerPlatforms, signIn, startConsole } from './world.ts'

/** What a person has begun in the console outlasts what happens meanwhile: readings anew, failures, other admins. */

const LIMIT = 240_000

let world: ConsoleWorld
let instances: Record<string, string>
let platforms: { difyId: string; cozeId: string }
beforeAll(async () => {
  world = await startConsole()
  platforms = await registerPlatforms(world)
  instances = await registerInstances(world)
  await world.api.must(200, 'GET', `/platforms/${platforms.difyId}/spaces?refresh=true`)
  const { id } = await world.api.must<{ id: string }>(202, 'POST', '/syncs', {
    platformId: platforms.difyId,
    instanceIds: [instances.memory],
    spaceIds: 'all',
    acceptWarnings: true,
  })
  await reached(id, 'succeeded')
  await world.api.must(200, 'POST', `/instances/${instances.everything}/probe`, {})
}, LIMIT)
afterAll(() => world.stop())

async function reached(syncId: string, state: string): Promise<void> {
  await vi.waitFor(
    async () =>
      expect(await world.api.must<{ state: string }>(200, 'GET', `/syncs/${syncId}`)).toMatchObject({ state }),
    { timeout: 90_000, interval: 500 },
  )
}

/** Signed in, in a browser whose time can be set forward. */
async function openAt(path: string): Promise<Page> {
  const page = await openPage(world.browser)
  await page.clock.install()
  await page.goto(world.product.origin + path)
  await signIn(page, world.product.adminKey)
  return page
}

/** Somebody comes back to the tab after two minutes: what is shown is read again. Waits until that of `path` has been. */
async function comeBack(page: Page, path: string): Promise<void> {
  const answered = page.waitForResponse(
    (response) => response.request().method() === 'GET' && new URL(response.url()).pathname === `/api/v1${path}`,
  )
  await page.clock.fastForward(120_000)
  await page.evaluate(`window.dispatchEvent(new Event('visibilitychange'))`)
  await (await answered).finished()
  await page.evaluate(`new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))`)
}

describe('a form that is open while another admin saves', () => {
  const tellsTheSecond = async (page: Page, path: string, field: string | RegExp, first: string, change: object) => {
    const form = page.getByRole('dialog').last()
    await form.getByLabel(field).fill('Said by the second')
    const { rowVersion } = await world.api.must<{ rowVersion: number }>(200, 'GET', path)
    const changed = await world.api.call('PATCH', path, change, { 'if-match': `"${rowVersion}"` })
    expect(changed.status).toBe(200)
    await comeBack(page, path)
    await expect.poll(() => form.getByLabel(field).inputValue()).toBe('Said by the second')
    await form.getByRole('button', { name: 'Save' }).click()
    await form.getByText('Somebody else changed this meanwhile').waitFor()
    await expect.poll(() => form.getByRole('button', { name: 'Save' }).isDisabled()).toBe(true)
    await form.getByRole('button', { name: 'Close' }).last().click()
    await form.getByRole('button', { name: 'Save' }).waitFor({ state: 'detached' })
    expect(await world.api.must(200, 'GET', path)).toMatchObject(change)
    // Opened again it holds what the first has saved, and can be saved.
    await page.getByRole('button', { name: 'Edit', exact: true }).click()
    await expect.poll(() => form.getByLabel(field).inputValue()).toBe(first)
    await form.getByLabel(field).fill('Said by the second')
    await form.getByRole('button', { name: 'Save' }).click()
    await form.getByRole('button', { name: 'Save' }).waitFor({ state: 'detached' })
  }

  it('tells the second one, of an MCP server', async () => {
    const page = await openAt(`/instances/${instances.memory}?edit`)
    await tellsTheSecond(page, `/instances/${instances.memory}`, /Description/, 'Said by the first', {
      description: 'Said by the first',
    })
    expectNoPageErrors(page)
  })

  it('tells the second one, of a platform', async () => {
    const page = await openAt(`/platforms/${platforms.difyId}?edit`)
    await page.getByRole('dialog').last().getByLabel('Name', { exact: true }).waitFor()
    await tellsTheSecond(page, `/platforms/${platforms.difyId}`, 'Name', 'Said by the first', {
      name: 'Said by the first',
    })
    expectNoPageErrors(page)
  })

  it('tells the second one, of a profile', async () => {
    const made = await world.api.must<{ id: string; rowVersion: number }>(201, 'POST', '/profiles', {
      name: 'Nightly',
      platformId: platforms.difyId,
      selection: { instanceIds: 'all', spaceIds: 'all' },
      acceptWarnings: true,
    })
    const page = await openAt(`/profiles/${made.id}`)
    const form = page.getByRole('dialog')
    await form.getByLabel('Name', { exact: true }).fill('Said by the second')
    const changed = await world.api.call(
      'PATCH',
      `/profiles/${made.id}`,
      { name: 'Said by the first' },
      { 'if-match': `"${made.rowVersion}"` },
    )
    expect(changed.status).toBe(200)
    await comeBack(page, '/profiles')
    await form.getByRole('button', { name: 'Save' }).click()
    await form.getByText('Somebody else changed this meanwhile').waitFor()
    expect(await world.api.must(200, 'GET', `/profiles/${made.id}`)).toMatchObject({ name: 'Said by the first' })
    expectNoPageErrors(page)
  })
})

describe('a reading that fails', () => {
  it('of who is signed in leaves the page as it is', async () => {
    const page = await openAt('/instances?import')
    await page.getByRole('dialog').getByLabel('mcpServers JSON').fill('{ "half": ')
    await page.route('**/api/v1/me', (route) => route.fulfill({ status: 500, json: {} }))
    await comeBack(page, '/me')
    await expect.poll(() => page.getByRole('dialog').getByLabel('mcpServers JSON').inputValue()).toBe('{ "half": ')
    expectNoPageErrors(page)
  })

  it('of the tools leaves the arguments as they are', async () => {
    const page = await openAt(`/instances/${instances.everything}/playground?tool=get-sum`)
    await page.getByLabel('Arguments (JSON)').fill('{"a": 1, "b": 2}')
    await page.route('**/tools', (route) => route.fulfill({ status: 500, json: {} }))
    await comeBack(page, `/instances/${instances.everything}/tools`)
    await expect.poll(() => page.getByLabel('Arguments (JSON)').inputValue()).toBe('{"a": 1, "b": 2}')
    expectNoPageErrors(page)
  })

  it('of a run’s events, all the time, still shows which target is being written', async () => {
    const { simulator } = world.coze
    const hold = (endpoint: 'library_resource_list' | 'register_plugin_meta') =>
      simulator.faults.add({ endpoint, times: Number.POSITIVE_INFINITY, fault: { kind: 'hold' } })
    const planning = hold('library_resource_list')
    const writing = hold('register_plugin_meta')
    const { id } = await world.api.must<{ id: string }>(202, 'POST', '/syncs', {
      platformId: platforms.cozeId,
      instanceIds: [instances.memory],
      spaceIds: 'all',
      acceptWarnings: true,
    })
    await planning.hit
    const page = await openPage(world.browser)
    await page.route('**/events?*', (route) => route.abort())
    await page.goto(`${world.product.origin}/syncs/${id}`)
    await signIn(page, world.product.adminKey)
    await page
      .getByRole('button', { name: /^memory in .*: Pending/ })
      .first()
      .waitFor()
    planning.release()
    await writing.hit
    await page
      .getByRole('button', { name: /^memory in .*: Running/ })
      .first()
      .waitFor()
    writing.release()
    await reached(id, 'succeeded')
    expectNoPageErrors(page)
  }, 600_000)

  it('of a run’s events is tried again: the page goes on living', async () => {
    world.coze.simulator.loseSession({ userId: world.coze.user.userId })
    const { id } = await world.api.must<{ id: string }>(202, 'POST', '/syncs', {
      platformId: platforms.cozeId,
      instanceIds: [instances.memory],
      spaceIds: 'all',
      acceptWarnings: true,
    })
    await reached(id, 'waiting_for_credential')
    const page = await openAt('/syncs')
    await page.route('**/events?*', (route) => route.fulfill({ status: 503, body: 'away' }), { times: 1 })
    const second = page.waitForResponse((response) => response.url().includes('/events?') && response.status() === 200)
    await page.locator(`a[href="/syncs/${id}"]`).first().click()
    await second
    expectNoPageErrors(page)
  })
})

it('the forms over a page leave its own address as it is: the chosen tool and its arguments', async () => {
  const page = await world.signedIn({ path: `/instances/${instances.everything}/playground?tool=get-sum` })
  await page.getByLabel('Arguments (JSON)').fill('{"a": 1, "b": 2}')
  await page.getByRole('button', { name: 'Edit', exact: true }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click()
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  await expect.poll(() => page.getByLabel('Arguments (JSON)').inputValue()).toBe('{"a": 1, "b": 2}')
  expect(new URL(page.url()).searchParams.get('tool')).toBe('get-sum')
  expectNoPageErrors(page)
})

it('what was chosen first in the wizard is there again after a look at another page', async () => {
  const page = await world.signedIn({ path: '/syncs/new' })
  await page.getByLabel('MCP servers').click()
  await page.getByTitle('memory', { exact: true }).click()
  await page.keyboard.press('Escape')
  await page.locator('.wizard-says').getByText('1 MCP server', { exact: true }).waitFor()
  await page.getByRole('link', { name: 'Connect Dify' }).click()
  await page.getByRole('heading', { name: 'Platforms', exact: true }).waitFor()
  await page.goBack()
  await page.locator('.wizard-says').getByText('1 MCP server', { exact: true }).waitFor()
  expectNoPageErrors(page)
})

it(
  'dialogs of an authorization stay open when it leaves the filter',
  async () => {
    const { items } = await world.api.must<{ items: { id: string; rowVersion: number }[] }>(200, 'GET', '/bindings')
    const set = async (expiresIn: string) => {
      const { rowVersion } = await world.api.must<{ rowVersion: number }>(200, 'GET', `/bindings/${items[0]?.id}`)
      await world.api.must(200, 'POST', '/bindings/batch', { changes: [{ id: items[0]?.id, rowVersion, expiresIn }] })
    }
    const path = '/access?attention=token_expires_in_7_days'
    for (const [open, dialog] of [
      [
        async (page: Page) => {
          await page.getByRole('button', { name: /^Edit memory/ }).click()
          await page.getByRole('radio', { name: 'Every tool' }).check()
        },
        /^memory/,
      ],
      [(page: Page) => page.getByRole('button', { name: /^Reveal the token of/ }).click(), /^Authorization of/],
      [
        async (page: Page) => {
          await page.getByRole('button', { name: /^More for/ }).click()
          await page.getByRole('menuitem', { name: 'Remove from the platform…' }).click()
        },
        /^Remove 1 object/,
      ],
    ] as const) {
      await set('7d')
      const page = await openAt(path)
      await open(page)
      await page.getByRole('dialog', { name: dialog }).waitFor()
      await set('permanent')
      await comeBack(page, '/bindings')
      await page.getByText('Nothing matches these filters').waitFor()
      await expect.poll(() => page.getByRole('dialog', { name: dialog }).count()).toBe(1)
      if (dialog.test('memory')) expect(await page.getByRole('radio', { name: 'Every tool' }).isChecked()).toBe(true)
      expectNoPageErrors(page)
    }
  },
  LIMIT,
)

it('a button that opened a dialog has the focus again when it is closed', async () => {
  const page = await world.signedIn({ path: '/access' })
  for (const [button, dialog] of [
    [page.getByRole('button', { name: /^Edit memory/ }).first(), /^memory/],
    [page.getByRole('button', { name: 'Replace tokens' }), 'Replace tokens'],
    [page.getByRole('button', { name: /^Tokens of/ }).first(), /^Tokens of/],
    [page.getByRole('button', { name: /^More for/ }).first(), /^Remove 1 object/],
  ] as const) {
    await button.focus()
    await page.keyboard.press('Enter')
    if (String(dialog).includes('Remove')) {
      await page.getByRole('menuitem', { name: 'Remove from the platform…' }).click()
      await page.getByRole('menu').waitFor({ state: 'hidden' })
    }
    await page.getByRole('dialog', { name: dialog }).waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('dialog', { name: dialog }).waitFor({ state: 'hidden' })
    await button.and(page.locator(':focus')).waitFor()
  }
  expectNoPageErrors(page)
})
