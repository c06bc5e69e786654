import type { Locator, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { connectSdkClient } from '../support/sdk-clients.ts'
import { expectNoAxeViolations, expectNoPageErrors, PHONE, screenshot } from './browser.ts'
import { type Language, WORDS } from './words.ts'
import { type ConsoleWorld, registerInstances, startConsole } from './world.ts'

/** Tokens for clients of one's own: made, copied, used, changed and ended on the page of their server. */

const LIMIT = 240_000

let world: ConsoleWorld
let instances: Record<string, string>
beforeAll(async () => {
  world = await startConsole()
  instances = await registerInstances(world)
})
afterAll(() => world.stop())

type Config = { mcpServers: Record<string, { url: string; headers: { Authorization: string } }> }

const accessOf = (name: string) => `/instances/${instances[name]}/access`
type Token = { id: string; name: string; rowVersion: number; passThroughHeaders: Record<string, string> }
const tokensOf = async (name: string) =>
  (await world.api.must<{ items: Token[] }>(200, 'GET', `/instances/${instances[name]}/tokens`)).items

/** A server of a test's own, so that no other test's tokens are counted. Nobody calls it. */
async function addServer(name: string, more: object = {}): Promise<void> {
  const body = { name, url: 'http://127.0.0.1:9/mcp', ...more }
  instances[name] = (await world.api.must<{ id: string }>(201, 'POST', '/instances', body)).id
}

/** Where the token stands that was just made: nowhere else, and not for long. */
async function makeToken(page: Page, name: string, language: Language): Promise<Config> {
  const { t } = WORDS[language]
  await page.getByRole('button', { name: t('client-tokens:new') }).click()
  const form = page.getByRole('dialog', { name: t('client-tokens:new') })
  await form.getByLabel(t('client-tokens:nameLabel')).fill(name)
  await form.getByRole('button', { name: t('client-tokens:make') }).click()
  const made = page.getByRole('dialog', { name: t('client-tokens:made', { name }) })
  await made.getByText(t('client-tokens:onlyNow')).waitFor()
  return JSON.parse(await made.locator('pre').innerText()) as Config
}

const region = (page: Page, language: Language) =>
  page.getByRole('region', { name: WORDS[language].t('client-tokens:title') })

it(
  'is made once, copied with the configuration, used, changed, found in the log and ended',
  async () => {
    const { t } = WORDS.en
    const page = await world.signedIn({
      path: accessOf('memory'),
      permissions: ['clipboard-read', 'clipboard-write'],
    })
    const card = region(page, 'en')
    await card.getByText(t('client-tokens:empty.title')).waitFor()
    await screenshot(page, 'client-tokens-empty-en')
    await page.getByRole('button', { name: t('client-tokens:new') }).click()
    const form = page.getByRole('dialog', { name: t('client-tokens:new') })
    await form.getByRole('button', { name: t('client-tokens:make') }).click()
    await form.getByText(t('client-tokens:nameRequired')).waitFor()
    await screenshot(page, 'client-tokens-form-en')
    await expectNoAxeViolations(page)
    await form.getByRole('button', { name: t('common:cancel') }).click()
    await form.waitFor({ state: 'hidden' })

    const config = await makeToken(page, 'My Cursor', 'en')
    const { url, headers } = config.mcpServers.memory ?? { url: '', headers: { Authorization: '' } }
    const token = headers.Authorization.replace('Bearer ', '')
    const made = page.getByRole('dialog', { name: t('client-tokens:made', { name: 'My Cursor' }) })
    await made.getByText(token, { exact: true }).waitFor()
    await made.getByRole('button', { name: t('client-tokens:copyConfig') }).click()
    await expect
      .poll(() => page.evaluate<string>('navigator.clipboard.readText()'))
      .toBe(JSON.stringify(config, null, 2))
    await screenshot(page, 'client-tokens-made-en')
    await expectNoAxeViolations(page)
    await page.keyboard.press('Escape')
    await made.waitFor({ state: 'hidden' })
    const row = card.getByRole('row').filter({ hasText: 'My Cursor' })
    await row.getByText(`${token.slice(0, 8)}…`).waitFor()
    expect(await page.content()).not.toContain(token)

    const client = await connectSdkClient('2.x', 'streamable-http', url, token)
    expect(await client.tools()).toContain('read_graph')
    await client.close()

    await row.getByRole('button', { name: t('client-tokens:editOf', { name: 'My Cursor' }) }).click()
    const edit = page.getByRole('dialog', { name: t('client-tokens:editTitle', { name: 'My Cursor' }) })
    await edit.getByLabel(t('client-tokens:nameLabel')).fill('CI job')
    await edit.getByRole('combobox', { name: t('client-tokens:columns.expires') }).click()
    await page.getByTitle(t('access:expiries.permanent')).click()
    await expectNoAxeViolations(page)
    await edit.getByRole('button', { name: t('common:save') }).click()
    await edit.waitFor({ state: 'hidden' })
    const changed = card.getByRole('row').filter({ hasText: 'CI job' })
    await changed.getByText(t('client-tokens:never')).waitFor()
    await screenshot(page, 'client-tokens-en')
    await expectNoAxeViolations(page)

    await changed.getByRole('link', { name: t('client-tokens:calls', { name: 'CI job' }) }).click()
    await page.getByRole('row').filter({ hasText: 'tools/list' }).filter({ hasText: 'CI job' }).first().waitFor()
    await page.goBack()

    await changed.getByRole('button', { name: t('client-tokens:endOf', { name: 'CI job' }) }).click()
    await page.getByText(t('client-tokens:endMeaning')).waitFor()
    await page
      .getByRole('button', { name: t('client-tokens:end'), exact: true })
      .last()
      .click()
    await card.getByText(t('client-tokens:empty.title')).waitFor()
    await expect(connectSdkClient('2.x', 'streamable-http', url, token)).rejects.toThrow()
    expectNoPageErrors(page)
  },
  LIMIT,
)

it(
  'in Chinese on a phone it is made and ended, too',
  async () => {
    const { t } = WORDS.zh
    const page = await world.signedIn({ path: accessOf('everything'), language: 'zh', viewport: PHONE })
    const card = region(page, 'zh')
    await card.getByText(t('client-tokens:empty.title')).waitFor()
    await expectNoAxeViolations(page)
    await makeToken(page, '我的 Cursor', 'zh')
    await screenshot(page, 'client-tokens-made-zh-phone')
    await expectNoAxeViolations(page)
    await page.keyboard.press('Escape')
    const row = card.getByRole('row').filter({ hasText: '我的 Cursor' })
    await row.waitFor()
    await screenshot(page, 'client-tokens-zh-phone')
    await expectNoAxeViolations(page)
    await row.getByRole('button', { name: t('client-tokens:endOf', { name: '我的 Cursor' }) }).click()
    await page.getByText(t('client-tokens:endMeaning')).waitFor()
    await page
      .getByRole('button', { name: t('client-tokens:end'), exact: true })
      .last()
      .click()
    await card.getByText(t('client-tokens:empty.title')).waitFor()
    expect(await tokensOf('everything')).toEqual([])
    expectNoPageErrors(page)
  },
  LIMIT,
)

it(
  'a viewer sees the tokens and no buttons, an operator may end one but make none',
  async () => {
    const { t } = WORDS.en
    await addServer('nightly')
    await addServer('untouched')
    const body = { name: 'Nightly job', expiresIn: '7d' }
    await world.api.must(201, 'POST', `/instances/${instances.nightly}/tokens`, body)
    const keyOf = async (role: string) =>
      (await world.api.must<{ key: string }>(201, 'POST', '/api-keys', { name: role, role })).key
    const viewer = await world.signedIn({ apiKey: await keyOf('viewer') })
    const told = t('overview:attention.client_token_expires', { count: 1, server: 'nightly' })
    await viewer.getByRole('link', { name: told }).click()
    await region(viewer, 'en').getByText('Nightly job').waitFor()
    await expect.poll(() => region(viewer, 'en').getByRole('button').count()).toBe(0)
    await viewer.goto(`${world.product.origin}${accessOf('untouched')}`)
    await viewer.getByText(t('client-tokens:empty.textViewer')).waitFor()
    await expect.poll(() => region(viewer, 'en').getByRole('button').count()).toBe(0)
    await seesConfig(viewer, '<gateway token>', t('access:config.tokenOfAdmin'))
    expectNoPageErrors(viewer)

    const operator = await world.signedIn({ path: accessOf('nightly'), apiKey: await keyOf('operator') })
    const name = t('client-tokens:endOf', { name: 'Nightly job' })
    await region(operator, 'en').getByRole('button', { name }).waitFor()
    await expect
      .poll(() =>
        region(operator, 'en')
          .getByRole('button', { name: t('client-tokens:new') })
          .count(),
      )
      .toBe(0)
    await seesConfig(operator, '<gateway token>', t('access:config.tokenOfAdmin'))
    expectNoPageErrors(operator)

    const admin = await world.signedIn({ path: accessOf('nightly') })
    await seesConfig(admin, '<gateway token>', t('access:config.token'))
    await addServer('open', { accessMode: 'anonymous' })
    await admin.goto(`${world.product.origin}${accessOf('open')}`)
    await seesConfig(admin, '/mcp', t('access:config.noToken'))
    await expect.poll(() => admin.getByText('<gateway token>').count()).toBe(0)
    expectNoPageErrors(admin)
  },
  LIMIT,
)

it(
  'a header that cannot be sent is refused with the reason, and nothing is saved',
  async () => {
    const { t } = WORDS.en
    await addServer('with headers')
    const page = await world.signedIn({ path: accessOf('with headers') })
    await page.getByRole('button', { name: t('client-tokens:new') }).click()
    const form = page.getByRole('dialog', { name: t('client-tokens:new') })
    await form.getByLabel(t('client-tokens:nameLabel')).fill('My agent')
    await form.getByRole('button', { name: t('common:headers.add') }).click()
    await headerName(form).fill('Host')
    await headerValue(form).fill('evil.example.com')
    await form.getByRole('button', { name: t('client-tokens:make') }).click()
    await form.getByText(/cannot be given: it belongs to the connection/).waitFor()
    expect(await tokensOf('with headers')).toEqual([])
    await expectNoAxeViolations(page)
    await headerName(form).fill('X-Tenant-Id')
    await headerValue(form).fill('blue')
    await form.getByRole('button', { name: t('client-tokens:make') }).click()
    const made = page.getByRole('dialog', { name: t('client-tokens:made', { name: 'My agent' }) })
    await made.getByText(t('client-tokens:onlyNow')).waitFor()
    await page.keyboard.press('Escape')
    await made.waitFor({ state: 'hidden' })
    const row = region(page, 'en').getByRole('row').filter({ hasText: 'My agent' })
    await row.getByText('X-Tenant-Id').waitFor()
    const [before] = await tokensOf('with headers')

    await row.getByRole('button', { name: t('client-tokens:editOf', { name: 'My agent' }) }).click()
    const edit = page.getByRole('dialog', { name: t('client-tokens:editTitle', { name: 'My agent' }) })
    await headerValue(edit).fill('green ')
    await edit.getByRole('button', { name: t('common:save') }).click()
    await edit.getByText(/has a space before or after its value/).waitFor()
    expect(await tokensOf('with headers')).toEqual([before])
    await headerName(edit).fill('X-Team')
    await headerValue(edit).fill('green')
    await edit.getByRole('button', { name: t('common:save') }).click()
    await edit.waitFor({ state: 'hidden' })
    await row.getByText('X-Team').waitFor()
    expect((await tokensOf('with headers')).map(({ passThroughHeaders }) => Object.keys(passThroughHeaders))).toEqual([
      ['X-Team'],
    ])
    expectNoPageErrors(page)
  },
  LIMIT,
)

it(
  'of two admins who change one the second is told, and cannot try again with what is no longer true',
  async () => {
    const { t } = WORDS.en
    await addServer('shared')
    const body = { name: 'Ours', expiresIn: 'permanent' }
    await world.api.must(201, 'POST', `/instances/${instances.shared}/tokens`, body)
    const page = await world.signedIn({ path: accessOf('shared') })
    await page.getByRole('button', { name: t('client-tokens:editOf', { name: 'Ours' }) }).click()
    const edit = page.getByRole('dialog', { name: t('client-tokens:editTitle', { name: 'Ours' }) })
    await edit.getByLabel(t('client-tokens:nameLabel')).fill('Mine')
    const [token] = await tokensOf('shared')
    const changed = await world.api.call(
      'PATCH',
      `/instances/${instances.shared}/tokens/${token?.id}`,
      { name: 'Theirs' },
      { 'if-match': `"${token?.rowVersion}"` },
    )
    expect(changed.status).toBe(200)
    await edit.getByRole('button', { name: t('common:save') }).click()
    await edit.getByText(t('problems:stale_write.title')).waitFor()
    await expect.poll(() => edit.getByRole('button', { name: t('common:save') }).isDisabled()).toBe(true)
    await expectNoAxeViolations(page)
    await edit
      .getByRole('button', { name: t('common:close') })
      .last()
      .click()
    await edit.waitFor({ state: 'hidden' })
    expect((await tokensOf('shared')).map(({ name }) => name)).toEqual(['Theirs'])

    // Opened again it holds what the first has saved, and can be saved.
    await page.getByRole('button', { name: t('client-tokens:editOf', { name: 'Theirs' }) }).click()
    const again = page.getByRole('dialog', { name: t('client-tokens:editTitle', { name: 'Theirs' }) })
    await expect.poll(() => again.getByLabel(t('client-tokens:nameLabel')).inputValue()).toBe('Theirs')
    await again.getByLabel(t('client-tokens:nameLabel')).fill('Mine')
    await again.getByRole('button', { name: t('common:save') }).click()
    await again.waitFor({ state: 'hidden' })
    await region(page, 'en').getByRole('row').filter({ hasText: 'Mine' }).waitFor()
    expect((await tokensOf('shared')).map(({ name }) => name)).toEqual(['Mine'])

    // The form also outlasts that the first ends it, and says so.
    await page.getByRole('button', { name: t('client-tokens:editOf', { name: 'Mine' }) }).click()
    const last = page.getByRole('dialog', { name: t('client-tokens:editTitle', { name: 'Mine' }) })
    await last.getByLabel(t('client-tokens:nameLabel')).fill('Still mine')
    await world.api.must(200, 'DELETE', `/instances/${instances.shared}/tokens/${token?.id}`)
    await page.getByText(t('client-tokens:empty.title')).waitFor()
    await last.getByRole('button', { name: t('common:save') }).click()
    await last.getByRole('alert').waitFor()
    await expect.poll(() => last.getByLabel(t('client-tokens:nameLabel')).inputValue()).toBe('Still mine')
  },
  LIMIT,
)

it(
  'a change that not every gateway has confirmed yet is said to be one',
  async () => {
    const { t } = WORDS.en
    await addServer('far away')
    await world.api.must(201, 'POST', `/instances/${instances['far away']}/tokens`, { name: 'Far away' })
    const page = await world.signedIn({ path: accessOf('far away') })
    await page.route('**/api/v1/instances/*/tokens/*', async (route) => {
      const response = await route.fetch()
      await route.fulfill({ response, json: { ...(await response.json()), effective: false } })
    })
    await region(page, 'en')
      .getByRole('button', { name: t('client-tokens:editOf', { name: 'Far away' }) })
      .click()
    const edit = page.getByRole('dialog', { name: t('client-tokens:editTitle', { name: 'Far away' }) })
    await edit.getByLabel(t('client-tokens:nameLabel')).fill('Nearer')
    await edit.getByRole('button', { name: t('common:save') }).click()
    await page.getByText(t('client-tokens:notYetFollowed')).waitFor()
    await edit.waitFor({ state: 'hidden' })
    await region(page, 'en').getByRole('row').filter({ hasText: 'Nearer' }).waitFor()
    expectNoPageErrors(page)
  },
  LIMIT,
)

/** The configuration for a client, with what is said of the token in it. */
async function seesConfig(page: Page, inIt: string, said: string): Promise<void> {
  await page.getByText(WORDS.en.t('access:config.title')).click()
  await page.locator('pre').filter({ hasText: inIt }).waitFor()
  await page.getByText(said).waitFor()
}

const headerName = (form: Locator) =>
  form.getByRole('combobox', { name: WORDS.en.t('common:headers.name'), exact: true })
const headerValue = (form: Locator) => form.getByLabel(WORDS.en.t('common:headers.value'), { exact: true })
