import type { Page } from 'playwright-core'
import { expect, it } from 'vitest'
import { pluginOf, tryTool } from '../../../demo/as-coze.ts'
import type { CozeAccount } from '../../../demo/coze-simulator/simulator-types.ts'
import { expectNoAxeViolations, expectNoPageErrors, PHONE } from '../browser.ts'
import { COZE } from './connect-coze.ts'
import {
  button,
  clickAndHear,
  dialog,
  expectNothingSaved,
  expectRefusal,
  instanceNamed,
  platformOf,
  type Scene,
  spacesOf,
} from './scene.ts'
import { IMPORTED, MEMORY, RECORDER } from './servers.ts'
import { cell, next, pickPlatform, pickServers, pickSpaces, planned, spaceBox, succeeded } from './wizard.ts'

const OWNED = '研发 R&D'
const ADMINISTERED = '市场 Marketing'

/** One server into the two COZE spaces of the cookie's user, on a phone; the cookie dies while the run goes on. */
export function syncToCoze(scene: Scene): void {
  const { t } = scene
  let phone: Page
  let colleague: CozeAccount

  it('M6: COZE offers the spaces where the user is owner or administrator, with the role', async () => {
    const { world, language } = scene
    phone = await world.signedIn({ language, viewport: PHONE, path: '/instances' })
    await pickServers(scene, phone, [IMPORTED])
    await pickPlatform(scene, phone, COZE)
    const row = (name: string, role: string) =>
      phone
        .getByRole('row')
        .filter({ hasText: name })
        .filter({ hasText: t(`platforms:spaceRoles.${role}`) })
    await row(OWNED, 'owner').waitFor()
    await row(ADMINISTERED, 'admin').waitFor()
    await expect.poll(() => phone.getByText(world.coze.memberOnly.name).count()).toBe(0)
    await expectNoAxeViolations(phone)
    for (const name of [OWNED, ADMINISTERED]) await spaceBox(scene, phone, name).check()
    await next(scene, phone, 'authorization')
    await expectNoAxeViolations(phone)
    await next(scene, phone, 'plan')
    await planned(scene, phone, 'create', 2)
    await expectNoAxeViolations(phone)
  })

  it('M5, M11: the cookie dies while the run goes on: it waits with everything kept, and asks for a new one in place', async () => {
    const { world } = scene
    const { simulator } = world.coze
    // The first plugin is published; at the second one COZE knows the login no more.
    simulator.faults.add({ endpoint: 'publish_plugin', from: 2, fault: { kind: 'session-lost' } })
    await button(scene, phone, 'sync-wizard:plan.start').click()
    await phone.getByText(t('sync-run:waiting.title')).waitFor({ timeout: 120_000 })
    await phone.getByText(t('states.waiting_for_credential'), { exact: true }).first().waitFor()
    await expectNoAxeViolations(phone)
  })

  it('M5: a dead cookie is refused, another user’s must be confirmed, and the run goes on to its end with a new one', async () => {
    const { world } = scene
    const { simulator, user, enterpriseId } = world.coze
    colleague = simulator.addAccount({ name: '赵敏' })
    simulator.joinEnterprise(colleague.userId, enterpriseId)
    for (const { spaceId, name } of simulator.spaces()) {
      if (name === OWNED || name === ADMINISTERED) simulator.setRole(spaceId, colleague.userId, 2)
    }
    await button(scene, phone, 'sync-run:waiting.replace').click()
    const form = dialog(phone).filter({ hasText: t('platforms:credential.cookie', { name: COZE }) })
    const cookie = form.getByRole('textbox', { name: t('platforms:cookie.label') })
    const save = button(scene, form, 'save')
    await expectNothingSaved(scene, '/platforms?kind=coze', async () => {
      await cookie.fill('sessionid=dead')
      await save.click()
      await expectRefusal(scene, form, t('problems:check_failed.title'))
      await cookie.fill(colleague.cookie)
      await save.click()
      await expectRefusal(scene, form, t('problems:other_user.title'))
    })
    await form.getByRole('checkbox', { name: t('platforms:credential.confirmUser') }).waitFor()
    await cookie.fill(simulator.login(user.userId))
    await save.click()
    await form.waitFor({ state: 'hidden' })
    await succeeded(scene, phone)
    for (const space of [OWNED, ADMINISTERED]) await cell(scene, phone, IMPORTED, space, 'succeeded').waitFor()
    // What was done before stands, and nothing was made twice.
    expect([...simulator.livePluginsByUrl().values()]).toEqual([1, 1])
    await expectNoAxeViolations(phone)
    expectNoPageErrors(phone)
  })

  it('M12: the plugins are published: the run links to them, and COZE calls their tools', async () => {
    const { world } = scene
    const { id } = await platformOf(scene, 'coze')
    const instance = await instanceNamed(scene, IMPORTED)
    const { coze } = world
    const signedIn = { ...coze, user: { ...coze.user, cookie: coze.simulator.login(coze.user.userId) } }
    for (const space of await spacesOf(scene, id)) {
      const plugin = pluginOf(coze, space, instance)
      if (plugin === null) throw new Error(`There is no plugin in ${space.name}.`)
      expect(plugin.published).toBe(true)
      // Nothing but Authorization was given to the platform.
      expect(plugin.draft.meta.commonParams['4'].map(({ name }) => name)).toEqual(['Authorization'])
      const answer = await tryTool(signedIn, plugin, 'echo', { message: `ferried to ${space.name}` })
      expect(answer).toMatchObject({ success: true })
      expect(answer.resp).toContain(`ferried to ${space.name}`)
      await cell(scene, phone, IMPORTED, space.name, 'succeeded').click()
      const link = dialog(phone).getByRole('link', { name: t('remoteObject.open') })
      await expect.poll(() => link.getAttribute('href')).toContain(plugin.pluginId)
      await dialog(phone).press('Escape')
      await dialog(phone).waitFor({ state: 'hidden' })
    }
  })

  it('M5: with the confirmation the colleague’s cookie takes over', async () => {
    const { page, world } = scene
    const { id } = await platformOf(scene, 'coze')
    await page.goto(`${world.product.origin}/platforms/${id}?credential`)
    const form = dialog(page).filter({ hasText: t('platforms:credential.cookie', { name: COZE }) })
    await form.getByRole('textbox', { name: t('platforms:cookie.label') }).fill(colleague.cookie)
    await button(scene, form, 'save').click()
    await expectRefusal(scene, form, t('problems:other_user.title'))
    await form.getByRole('checkbox', { name: t('platforms:credential.confirmUser') }).check()
    await button(scene, form, 'save').click()
    await form.waitFor({ state: 'hidden' })
    await dialog(page).getByText(`${colleague.name} (${colleague.userId})`).waitFor()
  })

  it('M14: a space that is switched off while the run goes on is skipped by it', async () => {
    const { page, world } = scene
    const { simulator } = world.coze
    await pickServers(scene, page, [MEMORY, RECORDER])
    await pickPlatform(scene, page, COZE)
    await pickSpaces(scene, page, [OWNED])
    await next(scene, page, 'plan')
    await planned(scene, page, 'create', 2)
    // COZE keeps the first plugin waiting; the second one is still to come.
    const hold = simulator.faults.add({ endpoint: 'register_plugin_meta', times: Infinity, fault: { kind: 'hold' } })
    await button(scene, page, 'sync-wizard:plan.start').click()
    await hold.hit
    const [call] = simulator.calls({ endpoint: 'register_plugin_meta' }).slice(-1)
    const first = JSON.stringify(call?.body).includes(MEMORY) ? MEMORY : RECORDER
    const second = first === MEMORY ? RECORDER : MEMORY
    await cell(scene, page, first, OWNED, 'running').waitFor()
    const { id } = await instanceNamed(scene, second)
    const other = await world.signedIn({ language: scene.language, path: `/instances/${id}/access` })
    const access = other.getByRole('switch', { name: t('access:accessOf', { name: `${second} · ${OWNED}` }) })
    await clickAndHear(access, t('access:cutOff'))
    await other.context().close()
    hold.release()
    await cell(scene, page, first, OWNED, 'succeeded').waitFor({ timeout: 120_000 })
    await cell(scene, page, second, OWNED, 'skipped').waitFor({ timeout: 120_000 })
    await page.getByRole('progressbar').and(page.locator('[aria-valuenow="2"]')).waitFor()
    const made = simulator.plugins().flatMap(({ foreign, draft }) => (foreign ? [] : [draft.meta.name]))
    expect(made).toContain(first)
    expect(made).not.toContain(second)
    expectNoPageErrors(page)
  })
}
