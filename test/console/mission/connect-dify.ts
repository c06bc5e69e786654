import type { Locator } from 'playwright-core'
import { expect, it } from 'vitest'
import { expectNoAxeViolations } from '../browser.ts'
import {
  button,
  dialog,
  expectLanguage,
  expectNothingSaved,
  expectRefusal,
  field,
  optionalField,
  type Scene,
} from './scene.ts'
import { IMPORTED, RECORDER } from './servers.ts'

export const DIFY = 'Our Dify'

/** From the list of servers into the wizard, which has no platform yet, and to the first one. */
export function connectDify(scene: Scene): void {
  const { t } = scene

  it('M3: several servers are picked in the list, through a search, and taken to a sync', async () => {
    const { page } = scene
    const pick = (name: string) =>
      page.getByRole('checkbox', { name: t('instances:select.one', { name }), exact: true })
    const sync = button(scene, page, 'instances:select.sync')
    await expect.poll(() => sync.isDisabled()).toBe(true)
    await pick(RECORDER).check()
    await field(scene, page, 'instances:search').fill(IMPORTED.slice(0, 5))
    await pick(RECORDER).waitFor({ state: 'detached' })
    await pick(IMPORTED).check()
    await page.getByText(t('instances:select.some', { count: 2 }), { exact: true }).waitFor()
    await sync.click()
    await page.getByText([RECORDER, IMPORTED].join(', ')).waitFor()
  })

  it('M4: the wizard has no platform to choose, says so, and leads to making one', async () => {
    const { page } = scene
    await page.getByText(t('sync-wizard:platform.none.title')).waitFor()
    await expect.poll(() => button(scene, page, 'sync-wizard:next').isDisabled()).toBe(true)
    await expectNoAxeViolations(page)
    await page.getByRole('link', { name: t('platforms:add.dify') }).click()
    await dialog(page).getByText(t('platforms:add.dify'), { exact: true }).first().waitFor()
  })

  it('M1: a Dify database is tested, wrong input is said at its field, and saving checks the connection', async () => {
    const { page, world } = scene
    const form = dialog(page)
    const save = button(scene, form, 'save')
    const test = button(scene, form, 'platforms:form.test')
    await expectNothingSaved(scene, '/platforms', async () => {
      await save.click()
      await expectRefusal(scene, form, t('platforms:form.nameRequired'))
      await expectRefusal(scene, form, t('platforms:form.required', { what: t('platforms:form.host') }))
      await fillDify(scene, form)
      await field(scene, form, 'platforms:form.port').fill('70000')
      await test.click()
      await expectRefusal(scene, form, t('platforms:form.portWrong'))
      await fillDify(scene, form)
      await optionalField(scene, form, 'platforms:form.gatewayUrl').fill('nowhere')
      await save.click()
      await expectRefusal(scene, form, t('platforms:form.urlWrong'))
      await optionalField(scene, form, 'platforms:form.gatewayUrl').fill('')
      await field(scene, form, 'platforms:form.password').fill('wrong')
      await test.click()
      await form.getByText(t('platforms:check.failed')).waitFor()
      await expectLanguage(scene, form.getByRole('status'))
      await save.click()
      await expectRefusal(scene, form, t('problems:check_failed.title'))
      await button(scene, form, 'platforms:form.saveAnyway').waitFor()
      await field(scene, form, 'platforms:form.password').fill(world.dify.address.password)
      await field(scene, form, 'platforms:form.database').fill('postgres_of_somebody_else')
      await save.click()
      await expectRefusal(scene, form, t('problems:check_failed.title'))
    })
    await fillDify(scene, form)
    await test.click()
    await form.getByText(t('platforms:check.ok', { version: 'Dify 1.' })).waitFor()
    // The version, the privileges, the columns and the workspaces are each said.
    await expect.poll(() => form.locator('[data-finding][data-ok=true]').count()).toBe(4)
    await expectLanguage(scene, form.getByRole('status'))
    await expectNoAxeViolations(page)
    await save.click()
    await page.getByRole('heading', { name: t('platforms:spaces.title'), exact: true }).waitFor()
    for (const { name, owner } of world.dify.workspaces) {
      await page.getByRole('row').filter({ hasText: name }).filter({ hasText: owner }).waitFor()
    }
    await expectNoAxeViolations(page)
  })
}

export async function fillDify(scene: Scene, form: Locator): Promise<void> {
  const { host, port, database, user, password } = scene.world.dify.address
  await field(scene, form, 'platforms:form.name').fill(DIFY)
  await field(scene, form, 'platforms:form.host').fill(host)
  await field(scene, form, 'platforms:form.port').fill(String(port))
  await field(scene, form, 'platforms:form.database').fill(database)
  await field(scene, form, 'platforms:form.user').fill(user)
  await field(scene, form, 'platforms:form.password').fill(password)
}
