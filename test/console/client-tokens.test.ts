import type { Page } from 'playwright-core'
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
const tokensOf = async (name: string) =>
  (await world.api.must<{ items: { name: string }[] }>(200, 'GET', `/instances/${instances[name]}/tokens`)).items

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
    const body = { name: 'Nightly job', expiresIn: '7d' }
    await world.api.must(201, 'POST', `/instances/${instances.everything}/tokens`, body)
    const keyOf = async (role: string) =>
      (await world.api.must<{ key: string }>(201, 'POST', '/api-keys', { name: role, role })).key
    const viewer = await world.signedIn({ apiKey: await keyOf('viewer') })
    const told = t('overview:attention.client_token_expires', { count: 1, server: 'everything' })
    await viewer.getByRole('link', { name: told }).click()
    await region(viewer, 'en').getByText('Nightly job').waitFor()
    await expect.poll(() => region(viewer, 'en').getByRole('button').count()).toBe(0)
    await viewer.goto(`${world.product.origin}${accessOf('memory')}`)
    await viewer.getByText(t('client-tokens:empty.textViewer')).waitFor()
    await expect.poll(() => region(viewer, 'en').getByRole('button').count()).toBe(0)
    expectNoPageErrors(viewer)

    const operator = await world.signedIn({ path: accessOf('everything'), apiKey: await keyOf('operator') })
    const name = t('client-tokens:endOf', { name: 'Nightly job' })
    await region(operator, 'en').getByRole('button', { name }).waitFor()
    await expect
      .poll(() =>
        region(operator, 'en')
          .getByRole('button', { name: t('client-tokens:new') })
          .count(),
      )
      .toBe(0)
    expectNoPageErrors(operator)
  },
  LIMIT,
)
