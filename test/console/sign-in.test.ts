import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { expectNoAxeViolations, expectNoPageErrors, openPage, PHONE, screenshot } from './browser.ts'
import { type ConsoleWorld, signIn, startConsole } from './world.ts'

let world: ConsoleWorld
beforeAll(async () => {
  world = await startConsole()
})
afterAll(() => world.stop())

it('a wrong key is refused in words, the right one opens the page that was asked for', async () => {
  const page = await openPage(world.browser)
  await page.goto(`${world.product.origin}/settings`)
  await expectNoAxeViolations(page)
  await screenshot(page, 'sign-in-en')
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByText('Paste an API key.').waitFor()
  await page.getByLabel('API key').fill('tfa_not_a_key')
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByText('This API key is not accepted').waitFor()
  await signIn(page, world.product.adminKey)
  await expect.poll(() => page.locator('h1').textContent()).toBe('Settings')
  expect(new URL(page.url()).pathname).toBe('/settings')
  expectNoPageErrors(page)
})

it('speaks Chinese to a Chinese browser; the choice of a language is remembered', async () => {
  const page = await world.signedIn({ language: 'zh' })
  await page.getByRole('navigation').getByRole('link', { name: '平台', exact: true }).click()
  await page.getByRole('heading', { name: '平台', exact: true }).waitFor()
  await expect.poll(() => page.locator('html').getAttribute('lang')).toBe('zh-CN')
  await page.getByRole('button', { name: 'English' }).click()
  await page.getByRole('heading', { name: 'Platforms', exact: true }).waitFor()
  await page.reload()
  await page.getByRole('heading', { name: 'Platforms', exact: true }).waitFor()
  expectNoPageErrors(page)
})

it('the link that the server printed signs in once and leaves no trace in the address', async () => {
  const log = await readFile(world.product.logPath, 'utf8')
  const link = /http\S+\/#code=\S+/.exec(log)?.[0] ?? ''
  const page = await openPage(world.browser)
  await page.goto(link)
  await page.locator('#content h1').waitFor()
  expect(page.url()).toBe(`${world.product.origin}/`)
  const second = await openPage(world.browser)
  await second.goto(link)
  await second.getByText('This link has been used').waitFor()
  expectNoPageErrors(page)
})

it.each(['reduce', 'no-preference'] as const)('moves as the system asks: %s', async (reducedMotion) => {
  const page = await openPage(world.browser, { reducedMotion })
  // What turns while something is awaited has no end, and stays.
  await page.addInitScript(`window.moved = []
    const note = ({ target, animationName, propertyName }) => {
      const finite = target.getAnimations().some((a) => a.effect.getTiming().iterations !== Infinity)
      if (finite) window.moved.push(animationName ?? propertyName)
    }
    for (const type of ['animationstart', 'transitionrun']) document.addEventListener(type, note, true)`)
  await page.goto(`${world.product.origin}/webhooks`)
  await signIn(page, world.product.adminKey)
  await page.getByRole('button', { name: 'New webhook' }).first().click()
  await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click()
  await page.locator('.ant-form-item-explain-error').first().waitFor()
  const moved = () => page.evaluate<string[]>('window.moved')
  if (reducedMotion === 'reduce') expect(await moved()).toEqual([])
  else await expect.poll(moved).not.toEqual([])
})

it('signing out ends the session; the same address asks for a key again', async () => {
  const page = await world.signedIn({ path: '/platforms' })
  await page.getByRole('button', { name: 'initial admin key' }).click()
  await page.getByRole('menuitem', { name: 'Sign out' }).click()
  await page.getByLabel('API key').waitFor()
  await page.reload()
  await page.getByLabel('API key').waitFor()
})

it('a phone has the navigation in a drawer', async () => {
  const page = await world.signedIn({ viewport: PHONE })
  await page.getByRole('button', { name: 'Open the navigation' }).click()
  await page.getByRole('dialog').getByRole('link', { name: 'Platforms' }).click()
  await page.getByRole('heading', { name: 'Platforms', exact: true }).waitFor()
  await page.getByRole('dialog').waitFor({ state: 'hidden' })
  await expectNoAxeViolations(page)
  await screenshot(page, 'phone')
  expectNoPageErrors(page)
})

it('a viewer does not see what only an admin may open', async () => {
  const { key } = await world.api.must<{ key: string }>(201, 'POST', '/api-keys', {
    name: 'Reader',
    role: 'viewer',
  })
  const page = await world.signedIn({ apiKey: key })
  await page.getByRole('link', { name: 'Gateway log', exact: true }).waitFor()
  await expect.poll(() => page.getByRole('link', { name: 'Audit' }).count()).toBe(0)
})

it('loads less than 400 KB, as gzip, until the first page works', async () => {
  const page = await openPage(world.browser)
  const assets = new Set<string>()
  page.on('request', (request) => {
    const { pathname } = new URL(request.url())
    if (pathname.startsWith('/assets/')) assets.add(pathname)
  })
  await page.goto(world.product.origin)
  await signIn(page, world.product.adminKey)
  await page.getByText('Three steps to the first tool').waitFor()
  const built = join(import.meta.dirname, '../../dist/console')
  const sizes = await Promise.all([...assets].map(async (path) => (await stat(`${join(built, path)}.gz`)).size))
  expect(sizes.length).toBeGreaterThan(5)
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(400 * 1024)
})
