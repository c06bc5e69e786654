import type { Page } from 'playwright-core'
import type { World } from '../../demo/world.ts'
import type { Story } from './story.ts'
import type { Say } from './texts.ts'

export type Scene = { page: Page; say: Say; isPhone: boolean; world: World }
export type ToldScene = Scene & { story: Story }

/** One picture: where it is, and what to do there before it is taken. */
export type Picture<S extends Scene> = {
  name: string
  path: string | ((scene: S) => string)
  prepare?: (scene: S) => Promise<void>
  /** Of the window, in pixels, for what has no height of its own; absent: as high as the page. */
  height?: number
  /** Only in these, when not in all. */
  only?: 'desktop'
  /** Nobody is signed in. */
  signedOut?: true
}

/** Of an installation in which nothing has been done yet. */
export const FIRST_PICTURES: Picture<Scene>[] = [
  { name: 'sign-in', path: '/', height: 640, signedOut: true },
  { name: 'overview-first', path: '/' },
  { name: 'platforms-first', path: '/platforms' },
  {
    name: 'platform-dify',
    path: '/platforms?new=dify',
    height: 1040,
    prepare: async ({ page, say, world }) => {
      const form = page.getByRole('dialog')
      const fill = (key: string, value: string) => form.getByLabel(say(key), { exact: true }).fill(value)
      await fill('platforms:form.name', 'Company Dify')
      await fill('platforms:form.host', '10.20.0.5')
      await fill('platforms:form.port', '5432')
      await fill('platforms:form.database', 'dify')
      await fill('platforms:form.user', 'toolferry')
      await fill('platforms:form.password', world.dify.address.password)
      await form.getByLabel(new RegExp(say('platforms:form.consoleUrl'))).fill('https://dify.example.com')
      await form.getByLabel(new RegExp(say('platforms:form.gatewayUrl'))).fill('https://mcp.example.com')
      await form.getByRole('button', { name: say('platforms:form.test') }).click()
      await form.locator('[data-finding]').first().waitFor()
      await form.locator('[data-finding]').last().scrollIntoViewIfNeeded()
    },
  },
  {
    name: 'platform-coze',
    path: '/platforms?new=coze',
    height: 1040,
    prepare: async ({ page, say }) => {
      const form = page.getByRole('dialog')
      await form.getByLabel(say('platforms:form.name'), { exact: true }).fill('COZE 企业版')
      await form.getByLabel(say('platforms:form.enterpriseId')).fill('volcano_2100045678')
      await form.getByRole('button', { name: say('platforms:cookie.where') }).click()
      await form.getByText(say('platforms:cookie.steps.paste')).waitFor()
      await form.getByRole('textbox', { name: say('platforms:cookie.label') }).scrollIntoViewIfNeeded()
    },
  },
  {
    name: 'instance-add',
    path: '/instances',
    height: 1040,
    prepare: async ({ page, say }) => {
      await page
        .getByRole('button', { name: say('instances:add.button') })
        .first()
        .click()
      const form = page.getByRole('dialog')
      await form.getByLabel(say('instances:form.name'), { exact: true }).fill('Order search')
      await form.getByLabel(say('instances:form.url'), { exact: true }).fill('http://orders.internal:3000/mcp')
    },
  },
]

/** Of one that has been in use. */
export const PICTURES: Picture<ToldScene>[] = [
  { name: 'overview', path: '/' },
  { name: 'platforms', path: '/platforms' },
  {
    name: 'platform-spaces',
    path: ({ story }) => `/platforms/${story.difyId}`,
    height: 740,
    prepare: async ({ page, world }) => {
      await page
        .getByRole('dialog')
        .getByText(world.dify.workspaces[0]?.name ?? '')
        .first()
        .waitFor()
    },
  },
  {
    name: 'instances',
    path: '/instances',
    prepare: async ({ page, say }) => {
      for (const name of ['Order search', 'Help centre']) {
        await page.getByRole('checkbox', { name: say('instances:select.one', { name }), exact: true }).check()
      }
    },
  },
  { name: 'instance-tools', path: ({ story }) => `/instances/${story.instances[0]}/tools` },
  {
    name: 'instance-playground',
    path: ({ story }) => `/instances/${story.instances[0]}/playground`,
    prepare: async ({ page, say }) => {
      await page
        .getByLabel(say('instances:play.arguments'))
        .fill(JSON.stringify({ customer: 'Lindqvist', state: 'shipped' }, null, 2))
      await page.getByRole('button', { name: say('instances:play.call'), exact: true }).click()
      await page.getByText('2026-1187').first().waitFor()
    },
  },
  {
    name: 'instance-access',
    path: ({ story }) => `/instances/${story.instances[0]}/access`,
    prepare: async ({ page }) => page.getByRole('switch').nth(4).waitFor(),
  },
  {
    name: 'client-token',
    path: ({ story }) => `/instances/${story.instances[0]}/access`,
    height: 860,
    prepare: async ({ page, say }) => {
      await page.getByRole('button', { name: say('client-tokens:new'), exact: true }).click()
      const form = page.getByRole('dialog')
      await form.getByLabel(say('client-tokens:nameLabel'), { exact: true }).fill('Search team’s assistant')
    },
  },
  {
    name: 'access',
    path: '/access',
    height: 740,
    prepare: async ({ page }) => page.getByRole('switch').nth(4).waitFor(),
  },
  {
    name: 'access-edit',
    path: ({ story }) => `/instances/${story.instances[0]}/access`,
    height: 860,
    prepare: async ({ page, say }) => {
      await page
        .getByRole('button', { name: new RegExp(say('access:editOf', { name: 'Order search' })) })
        .first()
        .click()
      await page.getByRole('dialog').getByLabel(say('access:fields.expiry'), { exact: true }).waitFor()
    },
  },
  { name: 'syncs', path: '/syncs' },
  {
    name: 'run',
    path: ({ story }) => `/syncs/${story.runId}`,
    prepare: async ({ page }) => page.locator('[data-cell]').nth(8).waitFor(),
  },
  {
    name: 'run-cell',
    path: ({ story }) => `/syncs/${story.runId}?target=${story.targetId}`,
    height: 860,
    prepare: async ({ page }) => page.getByRole('dialog').waitFor(),
  },
  { name: 'run-waiting', path: ({ story }) => `/syncs/${story.waitingRunId}` },
  {
    name: 'run-cookie',
    path: ({ story }) => `/syncs/${story.waitingRunId}`,
    height: 860,
    prepare: async ({ page, say }) => {
      await page.getByRole('button', { name: say('sync-run:waiting.replace') }).click()
      await page.getByRole('dialog').getByRole('textbox').waitFor()
    },
  },
  { name: 'profiles', path: '/profiles' },
  { name: 'profile', path: ({ story }) => `/profiles/${story.profileId}`, height: 1040 },
  { name: 'drift', path: '/drift' },
  { name: 'gateway-log', path: '/gateway-log', height: 640 },
  { name: 'audit', path: '/audit', height: 740 },
  { name: 'api-keys', path: '/api-keys' },
  { name: 'webhooks', path: '/webhooks' },
  { name: 'settings', path: '/settings' },
]

/** Taken last: each plan is a run, which lists would show. */
export const WIZARD_PICTURES: Picture<ToldScene>[] = [
  {
    name: 'wizard-1-platform',
    path: ({ story }) => `/syncs/new?instances=${story.instances.slice(2, 4).join(',')}`,
    prepare: async ({ page }) => page.getByRole('radio', { name: /Company Dify/ }).check(),
  },
  {
    name: 'wizard-2-spaces',
    path: ({ story }) =>
      `/syncs/new?instances=${story.instances.slice(2, 4).join(',')}&platform=${story.difyId}&step=spaces`,
    prepare: async ({ page }) => chooseSpaces(page),
  },
  {
    name: 'wizard-3-authorization',
    path: ({ story }) =>
      `/syncs/new?instances=${story.instances.slice(2, 4).join(',')}&platform=${story.difyId}&step=spaces`,
    prepare: async ({ page, say }) => {
      await chooseSpaces(page)
      await page.getByRole('button', { name: say('sync-wizard:next') }).click()
      await page
        .getByRole('button', { name: say('sync-wizard:authorization.applyExpiry') })
        .first()
        .waitFor()
    },
  },
  {
    name: 'wizard-4-plan',
    path: ({ story }) =>
      `/syncs/new?instances=${story.instances.slice(2, 4).join(',')}&platform=${story.difyId}&step=spaces`,
    prepare: async ({ page, say }) => {
      await chooseSpaces(page)
      await page.getByRole('button', { name: say('sync-wizard:next') }).click()
      await page
        .getByRole('button', { name: say('sync-wizard:authorization.applyExpiry') })
        .first()
        .waitFor()
      await page.getByRole('button', { name: say('sync-wizard:next') }).click()
      await page.locator('tbody tr[data-row-key]').nth(5).waitFor()
      // What is to be mended, field by field.
      await page.locator('.ant-table-row-expand-icon').nth(3).click()
    },
  },
]

async function chooseSpaces(page: Page): Promise<void> {
  const spaces = page.locator('tbody tr[data-row-key] input[type=checkbox]')
  await spaces.nth(2).waitFor()
  for (const index of [0, 1, 2]) await spaces.nth(index).check()
}
