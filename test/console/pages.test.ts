import type { Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { expectNoAxeViolations, expectNoPageErrors, PHONE, screenshot } from './browser.ts'
import { WORDS } from './words.ts'
import { type ConsoleWorld, registerInstances, registerPlatforms, startConsole } from './world.ts'

/** What single pages owe to who reads them: words of their language, the whole of what happened, and a way to all of it. */

const { t: zh } = WORDS.zh

let world: ConsoleWorld
let instances: Record<string, string>
beforeAll(async () => {
  world = await startConsole()
  const { difyId } = await registerPlatforms(world)
  instances = await registerInstances(world)
  await world.api.must(200, 'GET', `/platforms/${difyId}/spaces?refresh=true`)
  const { id } = await world.api.must<{ id: string }>(202, 'POST', '/syncs', {
    platformId: difyId,
    instanceIds: Object.values(instances).slice(0, 2),
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

it('in Chinese the settings say in Chinese what a part waits for', async () => {
  const page = await world.signedIn({ path: '/overview-is-elsewhere', language: 'zh' })
  await page.route('**/readyz', (route) =>
    route.fulfill({
      status: 503,
      json: {
        ready: false,
        parts: [
          { name: 'store', ready: true, detail: null },
          { name: 'temporal', ready: false, detail: 'the embedded Temporal server is restarting' },
          { name: 'worker', ready: false, detail: 'the worker has not started yet' },
        ],
      },
    }),
  )
  await page.goto(`${world.product.origin}/settings`)
  await page.getByText(zh('settings:parts.title')).waitFor()
  await page.getByText('内嵌的 Temporal 服务正在重新启动').waitFor()
  await page.getByText('Worker 尚未启动').waitFor()
  await page.getByText(zh('settings:parts.works'), { exact: true }).first().waitFor()
  await page.getByText(zh('settings:parts.names.store'), { exact: true }).last().waitFor()
  await expectNoAxeViolations(page)
})

it('in Chinese a delivery says in Chinese why it failed', async () => {
  const { id } = await world.api.must<{ id: string }>(201, 'POST', '/webhooks', {
    name: 'Nobody there',
    url: 'http://127.0.0.1:1/hook',
    template: 'generic',
    events: 'all',
  })
  await world.api.must(200, 'POST', `/webhooks/${id}/test`)
  const page = await world.signedIn({ path: '/webhooks', language: 'zh' })
  await page.getByRole('button', { name: zh('webhooks:deliveriesOf', { name: 'Nobody there' }) }).click()
  await page.getByText('无法连接接收方（ECONNREFUSED）。').waitFor()
  expectNoPageErrors(page)
})

it('when a later run of a removal is refused, those that were started are named with links, and once more means the rest', async () => {
  const page = await world.signedIn({ path: '/access' })
  const sent: { instanceIds: string[] }[] = []
  await page.route('**/api/v1/syncs', async (route) => {
    if (route.request().method() !== 'POST') return await route.fallback()
    sent.push(route.request().postDataJSON())
    if (sent.length === 1 || sent.length > 2) {
      return await route.fulfill({
        status: 202,
        json: { id: `sync_run${sent.length}`, workflowId: 'w', state: 'queued' },
      })
    }
    const problem = { type: 'x', title: 'x', status: 503, code: 'unavailable', detail: 'Away.', hint: null, errors: [] }
    await route.fulfill({ status: 503, json: { ...problem, requestId: 'r' }, contentType: 'application/problem+json' })
  })
  await page.getByRole('row').nth(1).waitFor()
  await page.locator('thead').getByRole('checkbox').check()
  await page.getByRole('button', { name: 'Remove from the platform' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByRole('button', { name: 'Remove' }).click()
  await dialog.getByText('1 run was started before that, and goes on:').waitFor()
  expect(await dialog.getByRole('link').getAttribute('href')).toBe('/syncs/sync_run1')
  await expectNoAxeViolations(page)
  await screenshot(page, 'partly-started-en')
  await dialog.getByRole('button', { name: 'Remove' }).click()
  await page.waitForURL('**/syncs')
  expect(sent.map(({ instanceIds }) => instanceIds)).toEqual([
    sent[0]?.instanceIds,
    sent[1]?.instanceIds,
    sent[1]?.instanceIds,
  ])
  expect(sent[0]?.instanceIds).not.toEqual(sent[1]?.instanceIds)
})

it('a frame that scrolls sideways is a stop of Tab with a name, and is none where all of it is seen', async () => {
  const page = await world.signedIn({ path: '/syncs', viewport: PHONE })
  for (const path of ['/syncs', '/platforms', '/instances', '/access', '/webhooks', '/api-keys']) {
    await page.goto(world.product.origin + path)
    await page.locator('.sideways tbody tr[data-row-key]').first().waitFor()
    await expect.poll(() => scrolling(page), { message: path }).toEqual({ wider: 1, focusable: 1, named: 1 })
    await expectNoAxeViolations(page)
  }
  await page.setViewportSize({ width: 2400, height: 900 })
  await expect.poll(() => scrolling(page)).toEqual({ wider: 0, focusable: 0, named: 0 })
})

it('a list of choices has the name of its field while it is open, whether its field has a label or only a name', async () => {
  const page = await world.signedIn({ path: '/access' })
  await page.getByRole('combobox', { name: 'Platform' }).first().click()
  await expect.poll(() => page.getByRole('listbox').getAttribute('aria-label')).toBe('Platform')
  await expectNoAxeViolations(page)
  await page.goto(`${world.product.origin}/instances?new=1`)
  await page.getByRole('combobox', { name: 'Access', exact: true }).click()
  await expect.poll(() => page.getByRole('listbox').getAttribute('aria-label')).toBe('Access')
  expectNoPageErrors(page)
})

it('what could not be read is said: the latest runs, the profile of an address, the spaces of a profile', async () => {
  const problem = {
    type: 'x',
    title: 'x',
    status: 409,
    code: 'credential_expired',
    hint: null,
    errors: [],
    requestId: 'r',
  }
  const refusal = { json: { ...problem, detail: 'Gone.' }, status: 409, contentType: 'application/problem+json' }
  const page = await world.signedIn({ path: '/settings' })
  await page.route('**/api/v1/syncs?*', (route) => route.fulfill(refusal))
  await page.goto(world.product.origin)
  await page.locator('.runs').getByRole('alert').waitFor()
  expect(await page.getByText('No sync has run yet.').count()).toBe(0)

  await page.goto(`${world.product.origin}/profiles/nobody-made-this`)
  await page.getByRole('alert').getByText('This does not exist (any more)').waitFor()

  const { items } = await world.api.must<{ items: { id: string; kind: string }[] }>(200, 'GET', '/platforms')
  const made = await world.api.must<{ id: string }>(201, 'POST', '/profiles', {
    name: 'Nightly',
    platformId: items.find(({ kind }) => kind === 'dify')?.id,
    selection: { instanceIds: 'all', spaceIds: 'all' },
    acceptWarnings: true,
  })
  await page.route('**/spaces?*', (route) => route.fulfill(refusal))
  await page.goto(`${world.product.origin}/profiles/${made.id}`)
  const form = page.getByRole('dialog')
  await form.getByRole('radio', { name: 'Chosen ones' }).last().check()
  await form.getByText('The platform credential has expired').waitFor()
})

it('at 1280 px a space has its name on one line', async () => {
  const page = await world.signedIn({ path: '/access' })
  await page.locator('tbody .access-name').first().waitFor()
  const lines = await page.evaluate<number[]>(
    `[...document.querySelectorAll('tbody .access-name')].map((name) => name.clientHeight / parseFloat(getComputedStyle(name).lineHeight))`,
  )
  expect(lines.length).toBeGreaterThan(4)
  expect(Math.max(...lines)).toBeLessThan(1.5)
  await screenshot(page, 'access-1280-en')
})

function scrolling(page: Page): Promise<{ wider: number; focusable: number; named: number }> {
  return page.evaluate(`(() => {
    const frames = [...document.querySelectorAll('.sideways')]
    return {
      wider: frames.filter((frame) => frame.scrollWidth > frame.clientWidth).length,
      focusable: frames.filter((frame) => frame.tabIndex === 0).length,
      named: frames.filter((frame) => frame.hasAttribute('aria-label')).length,
    }
  })()`)
}
