import type { Locator, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { expectNoAxeViolations, expectNoPageErrors, expectNoSidewaysScroll, PHONE, screenshot } from './browser.ts'
import { type ConsoleWorld, registerInstances, registerPlatforms, startConsole } from './world.ts'

/** Every dialog can be read in the dark, on a phone; and every page, without moving it sideways. */

let world: ConsoleWorld
let instances: Record<string, string>
let platforms: { difyId: string; cozeId: string }
let page: Page
let syncId: string
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
  syncId = id
  await vi.waitFor(
    async () => expect(await world.api.must<object>(200, 'GET', `/syncs/${id}`)).toMatchObject({ state: 'succeeded' }),
    { timeout: 90_000, interval: 500 },
  )
  page = await world.signedIn({ viewport: PHONE, colorScheme: 'dark' })
})
afterAll(() => world.stop())

async function look(path: string, open: Locator[], name: string): Promise<void> {
  if (path !== '') await page.goto(world.product.origin + path)
  for (const button of open) await button.first().click()
  await page.getByRole('dialog').or(page.getByRole('tooltip')).last().waitFor()
  await screenshot(page, `dark-${name}`)
  await expectNoAxeViolations(page)
}

const button = (name: string | RegExp) => page.getByRole('button', { name })
const item = (name: string) => page.getByRole('menuitem', { name })

it('those of authorizations and their tokens', async () => {
  const access = `/access?instance=${instances.memory}`
  await look(access, [button(/^Edit memory/)], 'edit')
  await look(
    '',
    [page.getByRole('radio', { name: 'Own headers' }), page.getByRole('radio', { name: 'Only these' })],
    'edit-own',
  )
  await look(
    access,
    [
      page.getByRole('checkbox', { name: /^Select memory/ }).nth(0),
      page.getByRole('checkbox', { name: /^Select memory/ }).nth(1),
      button('Edit together'),
    ],
    'edit-many',
  )
  await look(access, [button(/^More for/), item('Replace the token…')], 'rotate')
  await look(
    '',
    [page.getByRole('radio', { name: 'Your own' }), page.getByRole('radio', { name: /^As soon as/ })],
    'rotate-own',
  )
  await look(access, [button(/^More for/), item('Remove from the platform…')], 'remove')
  await look(access, [button(/^Tokens of/)], 'tokens')
  await look(access, [button(/^Reveal the token/)], 'reveal')
  expectNoPageErrors(page)
}, 240_000)

it('those of platforms, servers and profiles', async () => {
  await look(`/platforms/${platforms.cozeId}`, [button('Forget the cookie')], 'forget')
  await look(`/platforms/${platforms.cozeId}?credential`, [], 'credential')
  await look(`/platforms/${platforms.difyId}?delete`, [], 'platform-delete')
  await look(`/platforms/${platforms.difyId}?edit`, [], 'platform-edit')
  await look('/instances?new', [], 'instance-new')
  await look('/profiles', [button('New profile')], 'profile')
  expectNoPageErrors(page)
}, 240_000)

it('those of webhooks and keys, with their secrets', async () => {
  await look('/webhooks', [button('New webhook')], 'webhook')
  const form = page.getByRole('dialog')
  await form.getByLabel('Name', { exact: true }).fill('Chat')
  await form.getByLabel('Address').fill('https://chat.example.com/hook')
  await form.getByRole('button', { name: 'Save' }).click()
  await page.getByRole('dialog', { name: 'Signing secret of Chat' }).waitFor()
  await look('', [], 'webhook-secret')
  await look('/webhooks', [button('Deliveries to Chat')], 'webhook-deliveries')
  await look('/webhooks', [button('Delete Chat')], 'webhook-delete')
  await look('/api-keys', [button('New API key')], 'api-key')
  await form.getByLabel('Name', { exact: true }).fill('Script')
  await form.getByRole('button', { name: 'Make the key' }).click()
  await page.getByRole('dialog', { name: 'The key of Script' }).waitFor()
  await look('', [], 'api-key-made')
  expectNoPageErrors(page)
}, 240_000)

it('no page is wider than a phone', async () => {
  const tabs = ['', '/tools', '/playground', '/access', '/log'].map((tab) => `/instances/${instances.memory}${tab}`)
  const lists = ['/', '/platforms', '/instances', '/syncs', '/access', '/profiles', '/drift', '/gateway-log', '/audit']
  const others = ['/api-keys', '/webhooks', '/settings', '/syncs/new', `/syncs/${syncId}`]
  for (const path of [...lists, ...others, `/platforms/${platforms.difyId}`, ...tabs, '/no/such/page']) {
    await page.goto(world.product.origin + path)
    await page.locator('#content h1').waitFor()
    await page.waitForLoadState('networkidle')
    await expectNoSidewaysScroll(page)
  }
  // It would be seen.
  await page.evaluate(`document.querySelector('#content h1').style.minWidth = '600px'`)
  await expect(expectNoSidewaysScroll(page)).rejects.toThrow('scrolls sideways')
  expectNoPageErrors(page)
}, 240_000)
