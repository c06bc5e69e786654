import type { Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { expectNoAxeViolations, expectNoPageErrors } from './browser.ts'
import { type ConsoleWorld, registerInstances, registerPlatforms, startConsole } from './world.ts'

/** What is typed, chosen and copied is what is meant; what cannot be done is not offered, and what failed is told. */

let world: ConsoleWorld
let instances: Record<string, string>
let platforms: { difyId: string; cozeId: string }
beforeAll(async () => {
  world = await startConsole()
  platforms = await registerPlatforms(world)
  instances = await registerInstances(world)
})
afterAll(() => world.stop())

async function keyOf(role: 'viewer' | 'operator'): Promise<string> {
  return (await world.api.must<{ key: string }>(201, 'POST', '/api-keys', { name: role, role })).key
}

it('a search is typed anywhere in its text', async () => {
  const page = await world.signedIn({ path: '/instances' })
  const search = page.getByRole('searchbox', { name: 'Search' })
  await search.fill('server')
  await search.press('Home')
  await search.pressSequentially('my ')
  await expect.poll(() => search.inputValue()).toBe('my server')
  await expect.poll(() => new URL(page.url()).searchParams.get('search')).toBe('my server')
  expectNoPageErrors(page)
})

it('filters that are cleared, or taken back by the browser, are empty in their fields, too', async () => {
  const page = await world.signedIn({ path: '/audit?actor=nobody&action=nothing' })
  const who = page.getByRole('searchbox', { name: 'Who' })
  await expect.poll(() => who.inputValue()).toBe('nobody')
  await page.getByRole('button', { name: 'Clear the filters' }).click()
  await expect.poll(() => new URL(page.url()).search).toBe('')
  await expect.poll(() => who.inputValue()).toBe('')
  await page.goBack()
  await expect.poll(() => who.inputValue()).toBe('nobody')
  expectNoPageErrors(page)
})

it('a text is copied where the browser gives no clipboard to a page: at an address with http', async () => {
  const page = await world.signedIn({ path: `/instances/${instances.memory}` })
  await page.evaluate(`Object.defineProperty(navigator, 'clipboard', { value: undefined })`)
  await page.getByRole('button', { name: 'Copy' }).first().click()
  await page.getByTitle('Copied').waitFor()
  await page.getByRole('link', { name: 'MCP servers' }).first().click()
  const search = page.getByRole('searchbox', { name: 'Search' })
  await search.focus()
  await page.keyboard.press('Control+v')
  await expect.poll(() => search.inputValue()).toMatch(/^http:\/\//)
  expectNoPageErrors(page)
})

it('a platform is saved without its check only by the button that says so', async () => {
  const page = await world.signedIn({ path: '/platforms?new=dify' })
  const form = page.getByRole('dialog')
  const asked: (string | null)[] = []
  page.on('request', (request) => {
    const { pathname, searchParams } = new URL(request.url())
    if (request.method() === 'POST' && pathname === '/api/v1/platforms') asked.push(searchParams.get('force'))
  })
  await form.getByLabel('Name', { exact: true }).fill('Nowhere')
  await form.getByLabel('Host').fill('127.0.0.1')
  await form.getByLabel('Port').fill('9')
  await form.getByLabel('User').fill('nobody')
  await form.getByLabel('Password').fill('nothing')
  await form.getByRole('button', { name: 'Save', exact: true }).click()
  await form.getByRole('button', { name: 'Save all the same' }).waitFor()
  await form.getByLabel('Name', { exact: true }).fill('')
  await form.getByRole('button', { name: 'Save all the same' }).click()
  await form.getByText('Give it a name.').waitFor()
  await form.getByLabel('Name', { exact: true }).fill('Nowhere')
  await form.getByRole('button', { name: 'Save', exact: true }).click()
  await expect.poll(() => asked).toEqual(['false', 'false'])
  expectNoPageErrors(page)
})

it('an operator is not asked for what only an admin may give', async () => {
  const apiKey = await keyOf('operator')
  const noForm = async (page: Page, path: string, seen: string) => {
    await page.goto(world.product.origin + path)
    await page.getByText(seen).first().waitFor()
    expect(await page.getByRole('button', { name: 'Save' }).count(), path).toBe(0)
  }
  const page = await world.signedIn({ apiKey })
  await noForm(page, `/platforms/${platforms.cozeId}?credential`, 'Calls the gateway at')
  await noForm(page, `/platforms/${platforms.cozeId}?edit`, 'Calls the gateway at')
  await noForm(page, '/platforms?new=dify', 'Demo Dify')
  await page.goto(`${world.product.origin}/syncs/new`)
  await page.getByText('To which platform').waitFor()
  await expect.poll(() => page.getByRole('link', { name: 'Connect Dify' }).count()).toBe(0)
  await page.goto(`${world.product.origin}/audit`)
  await page.getByText('This needs the role Admin.').waitFor()
  expectNoPageErrors(page)
})

it('a viewer is offered no form that changes something', async () => {
  const profile = await world.api.must<{ id: string }>(201, 'POST', '/profiles', {
    name: 'Nightly',
    platformId: platforms.difyId,
    selection: { instanceIds: 'all', spaceIds: 'all' },
    acceptWarnings: true,
  })
  const page = await world.signedIn({ path: '/access', apiKey: await keyOf('viewer') })
  await page.getByText('No authorizations yet').waitFor()
  await expect.poll(() => page.getByRole('button', { name: 'Start a sync' }).count()).toBe(0)
  for (const path of [`/profiles/${profile.id}`, `/instances/${instances.memory}?edit`, '/instances?new']) {
    await page.goto(world.product.origin + path)
    await page
      .getByText(/Nightly|memory/)
      .first()
      .waitFor()
    expect(await page.getByRole('button', { name: 'Save' }).count(), path).toBe(0)
  }
  expectNoPageErrors(page)
})

it('from the wizard either kind of platform is registered', async () => {
  const page = await world.signedIn({ path: '/syncs/new' })
  await page.getByRole('link', { name: 'Connect COZE' }).click()
  await page.getByRole('dialog').getByLabel('Team or enterprise ID').waitFor()
  expectNoPageErrors(page)
})

it('a sign-out that did not happen is told', async () => {
  const page = await world.signedIn()
  await page.route('**/api/v1/session', (route) => route.abort())
  await page.getByRole('button', { name: 'initial admin key' }).click()
  await page.getByRole('menuitem', { name: 'Sign out' }).click()
  await page.getByText('The server cannot be reached').waitFor()
  expectNoPageErrors(page)
})

it('what is wrong with a form is said to its reader, not to the author of a program', async () => {
  const page = await world.signedIn({ path: '/platforms?new=coze' })
  const form = page.getByRole('dialog')
  await form.getByLabel('Name', { exact: true }).fill('COZE without a cookie')
  await form.getByLabel('Team or enterprise ID').fill('volcano_1')
  await form.getByRole('button', { name: 'Test the connection' }).click()
  const alert = form.getByRole('alert').filter({ hasText: 'Some fields are not right' })
  await alert.getByText('Correct the fields named below.').waitFor()
  await expect.poll(() => alert.textContent()).not.toContain('API document')
  expectNoPageErrors(page)
})

let synced: Promise<void> | null = null

/** Authorizations to change: those of one server in every workspace of Dify. */
function haveAuthorizations(): Promise<void> {
  synced ??= (async () => {
    const { id } = await world.api.must<{ id: string }>(202, 'POST', '/syncs', {
      platformId: platforms.difyId,
      instanceIds: [instances.memory],
      spaceIds: 'all',
      acceptWarnings: true,
    })
    await vi.waitFor(
      async () =>
        expect(await world.api.must<object>(200, 'GET', `/syncs/${id}`)).toMatchObject({ state: 'succeeded' }),
      { timeout: 90_000, interval: 500 },
    )
  })()
  return synced
}

it('cutting off several at once says when a gateway has not confirmed it yet', async () => {
  await haveAuthorizations()
  const page = await world.signedIn({ path: '/access' })
  await page.route('**/api/v1/bindings/batch', async (route) => {
    const response = await route.fetch()
    await route.fulfill({ response, json: { ...(await response.json()), effective: false } })
  })
  await page
    .getByRole('checkbox', { name: /^Select memory/ })
    .first()
    .check()
  await page.getByRole('button', { name: 'Disable' }).click()
  await page.getByText('Stored, but not every gateway has confirmed it yet.').waitFor()
  expectNoPageErrors(page)
}, 240_000)

it('several authorizations are changed together: all of them, only what was touched, and none when it is wrong', async () => {
  await haveAuthorizations()
  type Binding = { id: string; tags: string[]; expiresAt: string | null; passThroughHeaders: object | null }
  // What an admin sets: when a token was last used is written whenever that is known.
  const read = async () =>
    (await world.api.must<{ items: Binding[] }>(200, 'GET', `/bindings?instanceId=${instances.memory}`)).items.map(
      ({ id, tags, expiresAt, passThroughHeaders }) => ({ id, tags, expiresAt, passThroughHeaders }),
    )
  const page = await world.signedIn({ path: `/instances/${instances.memory}/access` })
  const boxes = page.getByRole('checkbox', { name: /^Select memory/ })
  await boxes.nth(2).waitFor()
  const before = await read()
  expect(before).toHaveLength(3)
  await boxes.nth(0).check()
  await boxes.nth(1).check()
  await page.getByRole('button', { name: 'Edit together' }).click()
  const form = page.getByRole('dialog', { name: 'Edit 2 authorizations' })
  const save = form.getByRole('button', { name: 'Save' })
  await expect.poll(() => save.isDisabled()).toBe(true)
  await form.getByLabel('Tags', { exact: true }).fill('finance')
  await form.getByLabel('Tags', { exact: true }).press('Enter')
  await form.getByRole('radio', { name: 'Own headers' }).check()
  await form.getByRole('button', { name: 'Add a header' }).click()
  const name = form.getByRole('combobox', { name: 'Header', exact: true })
  const value = form.getByLabel('Value', { exact: true })
  await name.fill('Host')
  await value.fill('evil.example.com')
  await save.click()
  const alert = form.getByRole('alert')
  await alert.getByText(/cannot be given: it belongs to the connection/).waitFor()
  expect(await read()).toEqual(before)
  await name.fill('X-Tenant-Id')
  await value.fill('blue ')
  await save.click()
  await alert.getByText(/has a space before or after its value/).waitFor()
  expect(await read()).toEqual(before)
  await expectNoAxeViolations(page)
  await value.fill('blue')
  await save.click()
  await form.waitFor({ state: 'detached' })
  await expect
    .poll(() => page.getByRole('row').filter({ hasText: 'finance' }).filter({ hasText: 'X-Tenant-Id' }).count())
    .toBe(2)
  const after = await read()
  const changed = after.filter(({ tags }) => tags.includes('finance'))
  expect(changed.map(({ passThroughHeaders }) => Object.keys(passThroughHeaders ?? {}))).toEqual([
    ['X-Tenant-Id'],
    ['X-Tenant-Id'],
  ])
  expect(after.map(({ expiresAt }) => expiresAt)).toEqual(before.map(({ expiresAt }) => expiresAt))
  const other = after.find(({ tags }) => !tags.includes('finance'))
  expect(other).toEqual(before.find(({ id }) => id === other?.id))
  expectNoPageErrors(page)
}, 240_000)
