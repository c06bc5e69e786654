import type { Locator, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { expectNoAxeViolations, expectNoPageErrors, openPage, PHONE, screenshot } from './browser.ts'
import { type ConsoleWorld, registerInstances, registerPlatforms, signIn, startConsole } from './world.ts'

let world: ConsoleWorld
let platforms: { difyId: string; cozeId: string }
let instances: Record<string, string>
beforeAll(async () => {
  world = await startConsole()
  platforms = await registerPlatforms(world)
  instances = await registerInstances(world)
})
afterAll(() => world.stop())

const OWN_TOKEN = 'tok-7Kq2mZx9Lw4Rt8Vb3Nc6'

it('from two servers to a finished run: a search drops no space, an own token and headers go with it, the plan is read first', async () => {
  const page = await world.signedIn({ path: '/syncs/new' })
  await page.getByText('To which platform').waitFor()
  await expect.poll(() => page.getByRole('button', { name: 'Next' }).isDisabled()).toBe(true)
  await page.getByLabel('MCP servers').click()
  await page.getByTitle('everything', { exact: true }).click()
  await page.getByTitle('memory', { exact: true }).click()
  await page.keyboard.press('Escape')
  await page.getByRole('radio', { name: /Demo Dify/ }).check()
  await screenshot(page, 'wizard-1-platform-en')
  await expectNoAxeViolations(page)
  await page.getByRole('button', { name: 'Next' }).click()

  const rows = page.locator('tbody tr[data-row-key]')
  await rows.nth(2).waitFor()
  await page
    .getByRole('checkbox', { name: /^Select (?!all)/ })
    .first()
    .check()
  await page
    .getByRole('checkbox', { name: /^Select (?!all)/ })
    .nth(1)
    .check()
  await page.getByRole('searchbox', { name: 'Search spaces' }).fill('nothing is called so')
  await expect.poll(() => rows.count()).toBe(0)
  await page.getByText('2 of 3 spaces chosen').waitFor()
  await page.getByRole('searchbox', { name: 'Search spaces' }).fill('')
  await screenshot(page, 'wizard-2-spaces-en')
  await expectNoAxeViolations(page)
  await page.getByRole('button', { name: 'Next' }).click()

  await page.getByText('4 authorizations, 0 with a token of your own').waitFor()
  const ownFor = page.getByRole('combobox', { name: /^Gateway token of/ }).first()
  await ownFor.click()
  await page.getByTitle('Your own', { exact: true }).click()
  await page.getByLabel(/^Your token for/).fill('short')
  await page.getByRole('button', { name: 'Next' }).click()
  // Refused by the server, and said at the cell.
  await page.getByText('This token is too weak').waitFor()
  await page.getByRole('button', { name: 'Back' }).click()
  await page.locator('.wizard-cells [role=alert]').waitFor()
  await page.getByLabel(/^Your token for/).fill(OWN_TOKEN)
  await page
    .getByRole('button', { name: /Pass-through headers of/ })
    .nth(1)
    .click()
  await page.getByRole('button', { name: 'Add a header' }).click()
  await page.getByLabel('Header', { exact: true }).fill('X-Tenant')
  await page.getByLabel('Value', { exact: true }).fill('blue')
  await page.getByRole('button', { name: 'Take over' }).click()
  await screenshot(page, 'wizard-3-authorization-en')
  await expectNoAxeViolations(page)
  // Back and forth loses nothing.
  await page.getByRole('button', { name: 'Back' }).click()
  await page.getByText('2 of 3 spaces chosen').waitFor()
  await page.getByRole('button', { name: 'Next' }).click()
  await expect.poll(() => page.getByLabel(/^Your token for/).inputValue()).toBe(OWN_TOKEN)
  await page.getByRole('button', { name: 'X-Tenant' }).waitFor()
  await page.getByRole('button', { name: 'Next' }).click()

  await page.getByRole('button', { name: 'Create · 4' }).waitFor()
  await page.getByRole('button', { name: 'Expand row' }).first().click()
  await page.getByText('changes (secret)').first().waitFor()
  await screenshot(page, 'wizard-4-plan-en')
  await expectNoAxeViolations(page)
  await page.getByRole('checkbox', { name: /I have read the warnings/ }).check()
  await page.getByRole('button', { name: 'Start the sync' }).click()

  await page.getByText('Everything stands as it should').waitFor({ timeout: 60_000 })
  await page.getByRole('progressbar', { name: 'Targets that have ended' }).waitFor()
  await expect.poll(() => page.getByRole('progressbar').getAttribute('aria-valuenow')).toBe('4')
  await screenshot(page, 'run-done-en')
  await expectNoAxeViolations(page)
  await page
    .getByRole('button', { name: /^everything in .*: Succeeded/ })
    .first()
    .click()
  await page.getByText('Its object on the platform').waitFor()
  await screenshot(page, 'run-cell-en')
  expectNoPageErrors(page)

  const bindings = await world.api.must<{
    items: { token: { origin: string } | null; passThroughHeaders: object | null }[]
  }>(200, 'GET', `/bindings?instanceId=${instances.everything}&platformId=${platforms.difyId}`)
  expect(bindings.items.map(({ token }) => token?.origin).sort()).toEqual(['custom', 'minted'])
  expect(bindings.items.filter(({ passThroughHeaders }) => passThroughHeaders !== null)).toHaveLength(1)
})

it('in Chinese, on a phone: a COZE whose cookie died asks for a new one, then offers its spaces with the role', async () => {
  await world.api.must(200, 'DELETE', `/platforms/${platforms.cozeId}/credential`)
  const page = await openPage(world.browser, { viewport: PHONE, locale: 'zh-CN' })
  await page.goto(`${world.product.origin}/syncs/new?instances=${instances.memory}&platform=${platforms.cozeId}`)
  await signIn(page, world.product.adminKey, 'zh')
  await page.getByRole('radio', { name: /Demo COZE/ }).waitFor()
  await screenshot(page, 'wizard-1-platform-zh-phone')
  await page.getByRole('button', { name: '下一步' }).click()
  await page.getByRole('button', { name: '粘贴 Cookie' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByRole('textbox').fill('sessionid=not-a-session')
  await dialog.getByRole('button', { name: '保存' }).click()
  await dialog.getByRole('alert').waitFor()
  await dialog.getByRole('textbox').fill(world.coze.user.cookie)
  await dialog.getByRole('button', { name: '保存' }).click()
  await page
    .getByRole('checkbox', { name: /^选择 / })
    .first()
    .waitFor()
  await page.getByText('你的角色').first().waitFor()
  await screenshot(page, 'wizard-2-spaces-zh-phone')
  await expectNoAxeViolations(page)
  expectNoPageErrors(page)
})

it('an address that names what is not there (any more): it is said, and only what is there is counted and sent', async () => {
  const gone = await world.api.must<{ id: string }>(201, 'POST', '/instances', {
    name: 'gone',
    url: world.servers[0]?.url,
    transport: world.servers[0]?.transport,
  })
  await world.api.must(204, 'DELETE', `/instances/${gone.id}`)
  const named = [gone.id, instances.memory, instances.memory].join(',')
  const page = await world.signedIn({ path: `/syncs/new?instances=${named}&platform=no-such-platform&step=plan` })
  await page.getByText('1 of the chosen servers is no longer there').waitFor()
  await page.getByText('The chosen platform is no longer there').waitFor()
  await page.locator('.wizard-says').getByText('1 MCP server', { exact: true }).waitFor()
  await expect.poll(() => page.getByRole('button', { name: 'Next' }).isDisabled()).toBe(true)
  await screenshot(page, 'wizard-gone-en')
  await expectNoAxeViolations(page)
  await page.getByRole('radio', { name: /Demo Dify/ }).check()
  await page.getByRole('button', { name: 'Next' }).click()
  await page
    .getByRole('checkbox', { name: /^Select (?!all)/ })
    .first()
    .check()
  expect(new URL(page.url()).searchParams.get('instances')).toBe(instances.memory)
  await page.getByRole('button', { name: 'Next' }).click()
  await page.getByText('1 authorizations, 0 with a token of your own').waitFor()
  const sent = page.waitForRequest((request) => request.method() === 'POST' && request.url().endsWith('/api/v1/syncs'))
  await page.getByRole('button', { name: 'Next' }).click()
  expect((await sent).postDataJSON()).toMatchObject({ instanceIds: [instances.memory], platformId: platforms.difyId })
  await page.getByRole('button', { name: /^(Start the sync|Run it all the same)$/ }).waitFor({ timeout: 60_000 })
  expectNoPageErrors(page)
}, 240_000)

it('what is set for all spaces is sent once for each server, a space that decides for itself says so, and no token is copied', async () => {
  const { items } = await world.api.must<{ items: { id: string; name: string }[] }>(
    200,
    'GET',
    `/platforms/${platforms.difyId}/spaces?refresh=true`,
  )
  const [first, second] = items
  const page = await world.signedIn({
    path: `/syncs/new?instances=${instances.memory},${instances.everything}&platform=${platforms.difyId}`,
  })
  await page.getByRole('button', { name: 'Next' }).click()
  await page.getByRole('radio', { name: /^Every space/ }).check()
  await page.getByRole('button', { name: 'Next' }).click()

  await page.getByRole('tab', { name: 'memory' }).click()
  await page.getByRole('combobox', { name: `Gateway token of ${first?.name}` }).click()
  await page.getByTitle('Your own', { exact: true }).click()
  await page.getByLabel(`Your token for ${first?.name}`).fill(`${OWN_TOKEN}-once`)
  await page.getByRole('combobox', { name: 'Validity for all spaces' }).click()
  await page.getByTitle('30 days', { exact: true }).last().click()
  await page.getByRole('button', { name: 'Set for all spaces' }).click()
  await page.getByRole('button', { name: 'Headers for all spaces' }).click()
  await page.getByRole('button', { name: 'Add a header' }).click()
  await page.getByLabel('Header', { exact: true }).fill('X-Tenant')
  await page.getByLabel('Value', { exact: true }).fill('green')
  await page.getByRole('button', { name: 'Take over' }).click()
  await expect.poll(() => page.getByRole('button', { name: /^X-Tenant, / }).count()).toBe(items.length)
  await page.getByRole('combobox', { name: `How long ${second?.name} may call` }).click()
  await page.getByTitle('As it is (new: never)', { exact: true }).last().click()
  await expectNoAxeViolations(page)

  const sent = page.waitForRequest((request) => request.method() === 'POST' && request.url().endsWith('/api/v1/syncs'))
  await page.getByRole('button', { name: 'Next' }).click()
  const request = await sent
  const [instanceId, passThroughHeaders] = [instances.memory, { 'X-Tenant': 'green' }]
  expect(request.postDataJSON()).toMatchObject({
    spaceIds: 'all',
    authorizations: [
      { instanceId, spaceId: 'all', expiresIn: '30d', passThroughHeaders },
      { instanceId, spaceId: first?.id, token: `${OWN_TOKEN}-once`, expiresIn: '30d', passThroughHeaders },
      { instanceId, spaceId: second?.id, passThroughHeaders },
    ],
  })
  expect(request.postData()?.split(`${OWN_TOKEN}-once`)).toHaveLength(2)
  expect(request.postDataJSON().authorizations[2]).not.toHaveProperty('expiresIn')
  expect((await request.response())?.status()).toBe(202)
  await page.getByRole('button', { name: /^(Start the sync|Run it all the same)$/ }).waitFor({ timeout: 60_000 })
  expectNoPageErrors(page)
}, 240_000)

it('is walked by keyboard alone, from the list of servers to a finished run', async () => {
  const page = await world.signedIn({ path: '/instances' })
  const press = async (key: string, target: Locator) => {
    await expectFocus(target)
    await page.keyboard.press(key)
  }
  const box = page.getByRole('checkbox', { name: 'Select everything-sse' })
  await box.waitFor()
  await tabTo(page, box)
  await press('Space', box)
  const sync = page.getByRole('button', { name: 'Sync to a platform' })
  await tabTo(page, sync, 'Shift+Tab')
  await press('Enter', sync)

  const dify = page.getByRole('radio', { name: /Demo Dify/ })
  await dify.waitFor()
  const [firstPlatform, next] = [page.getByRole('radio').first(), page.getByRole('button', { name: 'Next' })]
  await tabTo(page, firstPlatform)
  await press('Space', firstPlatform)
  if (!(await dify.isChecked())) await page.keyboard.press('ArrowDown')
  await expect.poll(() => dify.isChecked()).toBe(true)
  await tabTo(page, next)
  await press('Enter', next)

  // Each step begins where its content begins, not behind the button that led there.
  await expectFocus(page.getByRole('region', { name: 'New sync · Spaces' }))
  const [some, every] = [/^Chosen spaces/, /^Every space/].map((name) => page.getByRole('radio', { name }))
  if (some === undefined || every === undefined) throw new Error('unreachable')
  await some.waitFor()
  await tabTo(page, some)
  await press('ArrowRight', some)
  await expect.poll(() => every.isChecked()).toBe(true)
  await tabTo(page, next)
  await press('Enter', next)

  await expectFocus(page.getByRole('region', { name: 'New sync · Authorization' }))
  const validity = page.getByRole('combobox', { name: 'Validity for all spaces' })
  await tabTo(page, validity)
  await press('Enter', validity)
  await page.getByTitle('30 days', { exact: true }).last().waitFor()
  // From "As it is", which is chosen, by 7 and 15 days.
  for (let step = 0; step < 3; step++) await page.keyboard.press('ArrowDown')
  await press('Enter', validity)
  await page.locator('.ant-select-dropdown').filter({ visible: true }).waitFor({ state: 'hidden' })
  const setForAll = page.getByRole('button', { name: 'Set for all spaces' })
  await tabTo(page, setForAll)
  await press('Enter', setForAll)
  await tabTo(page, next)
  await press('Enter', next)

  await expectFocus(page.getByRole('region', { name: 'New sync · Plan' }))
  await page.getByRole('button', { name: 'Create · 3' }).waitFor()
  const accepted = page.getByRole('checkbox', { name: /I have read the warnings/ })
  await tabTo(page, accepted)
  await press('Space', accepted)
  const start = page.getByRole('button', { name: 'Start the sync' })
  await tabTo(page, start)
  await press('Enter', start)
  await page.getByText('Everything stands as it should').waitFor({ timeout: 90_000 })
  const { items } = await world.api.must<{ items: { expiresAt: string | null }[] }>(
    200,
    'GET',
    `/bindings?instanceId=${instances['everything-sse']}`,
  )
  expect(items.map(({ expiresAt }) => expiresAt !== null)).toEqual([true, true, true])
  expectNoPageErrors(page)
}, 240_000)

it('a viewer sees the wizard and is told what it needs; the server refuses', async () => {
  const { key } = await world.api.must<{ key: string }>(201, 'POST', '/api-keys', { name: 'viewer', role: 'viewer' })
  const page = await world.signedIn({ path: '/syncs/new', apiKey: key })
  await page.getByText('This needs the role Operator.').waitFor()
  expectNoPageErrors(page)
})

/** Goes there as one without a mouse does. Throws when no key press leads there. */
async function tabTo(page: Page, target: Locator, key: 'Tab' | 'Shift+Tab' = 'Tab'): Promise<void> {
  const passed: string[] = []
  while (passed.length < 100) {
    if (await isFocused(target)) return
    await page.keyboard.press(key)
    passed.push(await page.evaluate<string>('document.activeElement.outerHTML.slice(0, 80)'))
  }
  throw new Error(`${key} does not lead to ${target}, but to ${passed.join('\n')}`)
}

async function isFocused(target: Locator): Promise<boolean> {
  return (await target.and(target.page().locator(':focus')).count()) === 1
}

async function expectFocus(target: Locator): Promise<void> {
  await expect.poll(() => isFocused(target), { message: `${target} has the focus` }).toBe(true)
}
