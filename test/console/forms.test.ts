import type { Locator, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { expectNoAxeViolations, expectNoPageErrors } from './browser.ts'
import { WORDS } from './words.ts'
import { type ConsoleWorld, registerInstances, registerPlatforms, startConsole } from './world.ts'

/** Forms whose record has gone or is another by now, and requests that are sent again after an answer that was lost. */

const LIMIT = 240_000
const { t } = WORDS.en

let world: ConsoleWorld
let instances: Record<string, string>
let platforms: { difyId: string; cozeId: string }
beforeAll(async () => {
  world = await startConsole()
  platforms = await registerPlatforms(world)
  instances = await registerInstances(world)
  await world.api.must(200, 'GET', `/platforms/${platforms.difyId}/spaces?refresh=true`)
}, LIMIT)
afterAll(() => world.stop())

type Made = { id: string; rowVersion: number }
const make = (path: string, body: object) => world.api.must<Made>(201, 'POST', path, body)

/** The server does what it is asked, and the browser never hears of it. Once. */
async function loseAnswer(page: Page, path: string): Promise<void> {
  await page.route(
    path,
    async (route) => {
      if (route.request().method() !== 'POST') return await route.fallback()
      await route.fetch()
      await route.abort()
    },
    { times: 1 },
  )
}

const button = (form: Locator, key: string) => form.getByRole('button', { name: t(key), exact: true })

describe('a form whose record somebody has deleted says so, cannot be sent again, and leads back to the list', () => {
  const leadsBack = async (page: Page, form: Locator, list: Locator) => {
    await button(form, 'common:save').click()
    await form.getByText(t('problems:not_found.title')).waitFor()
    await form.getByText(t('problems:not_found.hint')).waitFor()
    await expect.poll(() => button(form, 'common:save').isDisabled()).toBe(true)
    await expectNoAxeViolations(page)
    await button(form, 'common:backToList').click()
    await form.waitFor({ state: 'hidden' })
    await list.waitFor()
    expectNoPageErrors(page)
  }

  it('a token for a client', async () => {
    const path = `/instances/${instances.memory}/tokens`
    const { id } = await make(path, { name: 'Gone soon' })
    const page = await world.signedIn({ path: `/instances/${instances.memory}/access` })
    await page.getByRole('button', { name: t('client-tokens:editOf', { name: 'Gone soon' }) }).click()
    const form = page.getByRole('dialog', { name: t('client-tokens:editTitle', { name: 'Gone soon' }) })
    await form.getByLabel(t('client-tokens:nameLabel')).fill('Mine')
    await world.api.must(200, 'DELETE', `${path}/${id}`)
    await leadsBack(page, form, page.getByText(t('client-tokens:empty.title')))
  })

  it('an MCP server', async () => {
    const { id } = await make('/instances', { name: 'Gone soon', url: 'http://127.0.0.1:9/mcp' })
    const page = await world.signedIn({ path: `/instances/${id}?edit` })
    const form = page.getByRole('dialog')
    await form.getByLabel(t('instances:form.name'), { exact: true }).fill('Mine')
    await world.api.must(204, 'DELETE', `/instances/${id}`)
    await leadsBack(page, form, page.getByRole('heading', { name: t('instances:title'), exact: true }))
    expect(new URL(page.url()).pathname).toBe('/instances')
  })

  it('a platform', async () => {
    const { host, port, user, password, database } = world.dify.address
    const address = { engine: 'postgresql', host, port, user, password, database, tls: 'disable' }
    await world.api.must(204, 'DELETE', `/platforms/${platforms.difyId}?forget=true`)
    const { id } = await make('/platforms', { kind: 'dify', name: 'Gone soon', database: address })
    const page = await world.signedIn({ path: `/platforms/${id}?edit` })
    const form = page.getByRole('dialog').last()
    await form.getByLabel(t('platforms:form.name'), { exact: true }).fill('Mine')
    await world.api.must(204, 'DELETE', `/platforms/${id}`)
    await leadsBack(page, form, page.getByRole('heading', { name: t('platforms:title'), exact: true }))
    expect(new URL(page.url()).pathname).toBe('/platforms')
    platforms.difyId = (await make('/platforms', { kind: 'dify', name: 'Dify', database: address })).id
    await world.api.must(200, 'GET', `/platforms/${platforms.difyId}/spaces?refresh=true`)
  })

  it('a webhook', async () => {
    const body = { name: 'Gone soon', url: 'http://127.0.0.1:9/hook', template: 'generic', events: 'all' }
    const { id } = await make('/webhooks', body)
    const page = await world.signedIn({ path: '/webhooks' })
    await page.getByRole('button', { name: t('webhooks:editOf', { name: 'Gone soon' }) }).click()
    const form = page.getByRole('dialog', { name: 'Gone soon' })
    await form.getByLabel(t('webhooks:columns.name')).fill('Mine')
    await world.api.must(204, 'DELETE', `/webhooks/${id}`)
    await leadsBack(page, form, page.getByText(t('webhooks:empty.title')))
  })

  it('a profile', async () => {
    const { id } = await make('/profiles', {
      name: 'Gone soon',
      platformId: platforms.difyId,
      selection: { instanceIds: 'all', spaceIds: 'all' },
      acceptWarnings: true,
    })
    const page = await world.signedIn({ path: `/profiles/${id}` })
    const form = page.getByRole('dialog')
    await form.getByLabel(t('profiles:columns.name'), { exact: true }).fill('Mine')
    await world.api.must(204, 'DELETE', `/profiles/${id}`)
    await leadsBack(page, form, page.getByText(t('profiles:empty.title')))
  })

  it('and so does the question whether to delete it', async () => {
    const { id } = await make('/instances', { name: 'Gone soon', url: 'http://127.0.0.1:9/mcp' })
    const page = await world.signedIn({ path: `/instances/${id}?delete` })
    const dialog = page.getByRole('dialog')
    await button(dialog, 'common:delete').waitFor()
    await world.api.must(204, 'DELETE', `/instances/${id}`)
    await button(dialog, 'common:delete').click()
    await dialog.getByText(t('problems:not_found.title')).waitFor()
    await expect.poll(() => button(dialog, 'common:delete').isDisabled()).toBe(true)
    await button(dialog, 'common:backToList').click()
    await page.getByRole('heading', { name: t('instances:title'), exact: true }).waitFor()
  })
})

it('of two admins who change a webhook the second is told, and cannot try again with what is no longer true', async () => {
  const body = { name: 'Ours', url: 'http://127.0.0.1:9/hook', template: 'generic', events: 'all' }
  const { id, rowVersion } = await make('/webhooks', body)
  const page = await world.signedIn({ path: '/webhooks' })
  await page.getByRole('button', { name: t('webhooks:editOf', { name: 'Ours' }) }).click()
  const form = page.getByRole('dialog', { name: 'Ours' })
  await form.getByLabel(t('webhooks:columns.name')).fill('Mine')
  const changed = await world.api.call(
    'PATCH',
    `/webhooks/${id}`,
    { name: 'Theirs' },
    { 'if-match': `"${rowVersion}"` },
  )
  expect(changed.status).toBe(200)
  await button(form, 'common:save').click()
  await form.getByText(t('problems:stale_write.title')).waitFor()
  await expect.poll(() => button(form, 'common:save').isDisabled()).toBe(true)
  await button(form, 'common:close').last().click()
  await page.getByRole('button', { name: t('webhooks:editOf', { name: 'Theirs' }) }).waitFor()
  expectNoPageErrors(page)
})

describe('after an answer that was lost', () => {
  const unreachable = (dialog: Locator) => dialog.getByText(t('problems:network.title')).waitFor()

  it('a token for a client is made once, and when that has been ended meanwhile the next try makes another', async () => {
    const path = `/instances/${instances.everything}/tokens`
    const tokens = async () => (await world.api.must<{ items: Made[] }>(200, 'GET', path)).items
    const page = await world.signedIn({ path: `/instances/${instances.everything}/access` })
    await loseAnswer(page, '**/tokens')
    await page.getByRole('button', { name: t('client-tokens:new') }).click()
    const form = page.getByRole('dialog', { name: t('client-tokens:new') })
    await form.getByLabel(t('client-tokens:nameLabel')).fill('My agent')
    await button(form, 'client-tokens:make').click()
    await unreachable(form)
    const [first] = await tokens()
    await world.api.must(200, 'DELETE', `${path}/${first?.id}`)
    await button(form, 'client-tokens:make').click()
    await form.getByText(t('problems:idempotency_key_reused.hint')).waitFor()
    await expectNoAxeViolations(page)
    await button(form, 'client-tokens:make').click()
    await page.getByText(t('client-tokens:onlyNow')).waitFor()
    expect(await tokens()).toHaveLength(1)
    expectNoPageErrors(page)
  })

  it('a sync is planned, carried out, repeated and mended once', async () => {
    type Run = { id: string; state: string; dryRun: boolean; name: string }
    const runs = async () => (await world.api.must<{ items: Run[] }>(200, 'GET', '/syncs')).items
    const page = await world.signedIn({
      path: `/syncs/new?instances=${instances.memory}&platform=${platforms.difyId}&step=spaces`,
    })
    await page.getByRole('radio', { name: t('sync-wizard:spaces.all', { count: 3 }) }).check()
    await button(page.locator('main'), 'sync-wizard:next').click()
    await page.getByText(t('sync-wizard:authorization.neverTokens')).waitFor()
    await loseAnswer(page, '**/api/v1/syncs')
    await button(page.locator('main'), 'sync-wizard:next').click()
    await page.getByText(t('problems:network.title')).waitFor()
    await button(page.locator('main'), 'common:retry').click()
    await page.getByRole('checkbox', { name: t('sync-wizard:plan.accept') }).check()
    expect((await runs()).filter(({ dryRun }) => dryRun)).toHaveLength(1)

    await loseAnswer(page, '**/apply')
    await button(page.locator('main'), 'sync-wizard:plan.start').click()
    await page.getByText(t('problems:network.title')).waitFor()
    await button(page.locator('main'), 'sync-wizard:plan.start').click()
    await page.waitForURL(/\/syncs\/(?!new)/)
    expect((await runs()).filter(({ dryRun }) => !dryRun)).toHaveLength(1)
    await page.getByText(t('sync-run:succeeded')).waitFor()

    await page.goto(`${world.product.origin}/access`)
    await page.getByRole('row').nth(1).waitFor()
    await page.locator('thead').getByRole('checkbox').check()
    await button(page.locator('main'), 'access:removeAll').click()
    const dialog = page.getByRole('dialog')
    await loseAnswer(page, '**/api/v1/syncs')
    await button(dialog, 'access:remove.do').click()
    await unreachable(dialog)
    await button(dialog, 'access:remove.do').click()
    await page.waitForURL(/\/syncs\/(?!new)/)
    expect((await runs()).filter(({ name }) => name === t('access:remove.runName'))).toHaveLength(1)
    await vi.waitFor(
      async () => expect((await runs()).map(({ state }) => state)).toEqual(['succeeded', 'succeeded', 'planned']),
      { timeout: 60_000, interval: 500 },
    )
    expectNoPageErrors(page)
  })
})
