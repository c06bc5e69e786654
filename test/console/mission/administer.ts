import type { Page } from 'playwright-core'
import { expect, it } from 'vitest'
import { expectNoAxeViolations, expectNoPageErrors, PHONE } from '../browser.ts'
import { DIFY } from './connect-dify.ts'
import { button, clickAndHear, dialog, expectNothingSaved, expectRefusal, field, listOf, type Scene } from './scene.ts'

/** What admins do to platforms later on. */
export function administer(scene: Scene): void {
  const { t } = scene

  it('M1: an edited platform is checked, too, and of two admins the second is told', async () => {
    const { page, world, language } = scene
    const openForm = async (admin: Page) => {
      await admin.goto(`${world.product.origin}/platforms`)
      await admin.getByRole('link', { name: DIFY, exact: true }).click()
      await button(scene, dialog(admin), 'edit').click()
      return dialog(admin).filter({ hasText: t('platforms:edit.title', { name: DIFY }) })
    }
    const second = await world.signedIn({ language, path: '/platforms' })
    const [form, theirs] = [await openForm(page), await openForm(second)]
    await expectNothingSaved(scene, '/platforms', async () => {
      await field(scene, form, 'platforms:form.port').fill('1')
      await field(scene, form, 'platforms:form.password').fill('whatever')
      await button(scene, form, 'save').click()
      await expectRefusal(scene, form, t('problems:check_failed.title'))
    })
    await button(scene, form, 'cancel').click()
    const again = await openForm(page)
    await field(scene, again, 'platforms:form.name').fill(`${DIFY} 2`)
    await button(scene, again, 'save').click()
    await page.getByRole('link', { name: `${DIFY} 2`, exact: true }).waitFor()
    await expectNothingSaved(scene, '/platforms', async () => {
      await field(scene, theirs, 'platforms:form.name').fill('Dify of the second')
      await button(scene, theirs, 'save').click()
      await expectRefusal(scene, theirs, t('problems:stale_write.title'))
    })
    expectNoPageErrors(second)
    await second.context().close()
  })

  it('M1: the same database is not registered twice: the one there is, is named', async () => {
    const { page, world } = scene
    await page.goto(`${world.product.origin}/platforms?new=dify`)
    const form = dialog(page)
    const { host, port, database, user, password } = world.dify.address
    await expectNothingSaved(scene, '/platforms', async () => {
      for (const [name, value] of Object.entries({ name: 'Once more', host, port, database, user, password })) {
        await field(scene, form, `platforms:form.${name}`).fill(String(value))
      }
      await button(scene, form, 'save').click()
      await expectRefusal(scene, form, t('problems:already_registered.title'))
      await form
        .getByRole('alert')
        .filter({ hasText: `${DIFY} 2` })
        .waitFor()
    })
    expectNoPageErrors(page)
  })

  it('M7: a platform’s tokens are replaced by its own age once one is given; emptied, by the installation’s', async () => {
    const { page, world } = scene
    const name = `${DIFY} 2`
    const age = async () =>
      (await listOf<{ name: string; rotateAfterDays: number | null }>(scene, '/platforms?kind=dify')).map(
        ({ rotateAfterDays }) => rotateAfterDays,
      )
    for (const [text, days] of [
      ['30', 30],
      ['', null],
    ] as const) {
      await page.goto(`${world.product.origin}/platforms`)
      await page.getByRole('link', { name, exact: true }).click()
      await button(scene, dialog(page), 'edit').click()
      const form = dialog(page).filter({ hasText: t('platforms:edit.title', { name }) })
      const given = form.getByLabel(t('platforms:form.rotateAfterDays'))
      await expectNothingSaved(scene, '/platforms', async () => {
        await given.fill('-1')
        await expectRefusal(scene, form, t('platforms:form.rotateWrong'))
      })
      await given.fill(text)
      await button(scene, form, 'save').click()
      await form.waitFor({ state: 'hidden' })
      expect(await age()).toEqual([days])
    }
    expectNoPageErrors(page)
  })

  it('M2: a platform is deleted after asking, on a phone', async () => {
    const { world, language } = scene
    const { simulator } = world.coze
    const personal = simulator.addAccount({ name: '钱程' })
    await world.api.must(201, 'POST', '/platforms', {
      kind: 'coze',
      name: 'Personal COZE',
      baseUrl: simulator.origin,
      accountType: 'personal',
      cookie: personal.cookie,
    })
    const phone = await world.signedIn({ language, viewport: PHONE, path: '/platforms' })
    await phone.getByRole('link', { name: 'Personal COZE', exact: true }).click()
    await phone.getByRole('heading', { name: t('platforms:spaces.title'), exact: true }).waitFor()
    await expectNoAxeViolations(phone)
    await button(scene, dialog(phone), 'delete').click()
    const question = dialog(phone).filter({ hasText: t('platforms:delete.title', { name: 'Personal COZE' }) })
    await clickAndHear(button(scene, question, 'delete'), t('platforms:delete.done', { name: 'Personal COZE' }))
    await phone.getByRole('link', { name: 'Personal COZE', exact: true }).waitFor({ state: 'detached' })
    expectNoPageErrors(phone)
    await phone.context().close()
  })
}
