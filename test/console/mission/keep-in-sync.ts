import { expect, it } from 'vitest'
import { expectNoAxeViolations, expectNoPageErrors } from '../browser.ts'
import { DIFY } from './connect-dify.ts'
import { button, complaints, dialog, expectNothingSaved, expectRefusal, field, type Scene } from './scene.ts'
import { RECORDER } from './servers.ts'

const PROFILE = 'Every minute'

/** A profile that Temporal is to run on its own; and a webhook. */
export function makeSchedule(scene: Scene): void {
  const { t } = scene

  it('M16: a profile with a schedule is made; a wrong cron expression is said at its field', async () => {
    const { page, world } = scene
    await page.goto(`${world.product.origin}/profiles`)
    await page.getByText(t('profiles:empty.title')).waitFor()
    await button(scene, page, 'profiles:new').first().click()
    const form = dialog(page)
    const save = button(scene, form, 'save')
    await expectNothingSaved(scene, '/profiles', async () => {
      await save.click()
      await expectRefusal(scene, form, t('profiles:required', { what: t('profiles:columns.name') }))
      await expectRefusal(scene, form, t('profiles:required', { what: t('profiles:columns.platform') }))
      await field(scene, form, 'profiles:columns.name').fill(PROFILE)
      await form.getByRole('combobox', { name: t('profiles:columns.platform') }).click()
      await page.getByTitle(DIFY, { exact: true }).last().click()
      await form
        .getByRole('radio', { name: t('profiles:form.someInstances') })
        .first()
        .check()
      await save.click()
      await expectRefusal(scene, form, t('profiles:required', { what: t('profiles:form.instances') }))
      await form.getByRole('combobox', { name: t('profiles:form.instances') }).click()
      await page.getByTitle(RECORDER, { exact: true }).last().click()
      await page.keyboard.press('Escape')
      await form.getByRole('radio', { name: t('profiles:when.cron') }).check()
      await field(scene, form, 'profiles:form.cron').fill('every night')
      await save.click()
      await complaints(form).first().waitFor()
      await expectRefusal(scene, form, t('problems:invalid_request.title'))
    })
    await form.getByRole('radio', { name: t('profiles:when.interval') }).check()
    await field(scene, form, 'profiles:form.minutes').fill('1')
    await field(scene, form, 'profiles:form.jitter').fill('0')
    await expectNoAxeViolations(page)
    await save.click()
    await page
      .getByRole('row')
      .filter({ hasText: PROFILE })
      .filter({ hasText: t('profiles:everyMinutes', { count: 1 }) })
      .waitFor()
    await expectNoAxeViolations(page)
  })

  it('a webhook takes an address that can be called, and shows its secret once', async () => {
    const { page, world } = scene
    await page.goto(`${world.product.origin}/webhooks`)
    await button(scene, page, 'webhooks:new').first().click()
    const form = dialog(page)
    await expectNothingSaved(scene, '/webhooks', async () => {
      await button(scene, form, 'save').click()
      await expectRefusal(scene, form, t('webhooks:nameRequired'))
      await expectRefusal(scene, form, t('webhooks:urlRequired'))
      await field(scene, form, 'webhooks:columns.name').fill('on call')
      await field(scene, form, 'webhooks:url').fill('not an address')
      await form.getByRole('radio', { name: t('webhooks:chosenEvents') }).check()
      await button(scene, form, 'save').click()
      await expectRefusal(scene, form, t('webhooks:eventsRequired'))
      await form.getByRole('radio', { name: t('webhooks:allEvents') }).check()
      await button(scene, form, 'save').click()
      await expectRefusal(scene, form, t('problems:invalid_desired_state.title'))
    })
    await field(scene, form, 'webhooks:url').fill('http://127.0.0.1:9/hook')
    await button(scene, form, 'save').click()
    await page
      .getByText(t('webhooks:secretOf', { name: 'on call' }))
      .last()
      .waitFor()
    await expectNoAxeViolations(page)
    expectNoPageErrors(page)
  })
}

/** Later: it has run. */
export function checkSchedule(scene: Scene): void {
  const { t } = scene

  it('M16: the schedule has run it by itself; it is paused with a reason', async () => {
    const { page, world } = scene
    await page.goto(`${world.product.origin}/profiles`)
    const row = page.getByRole('row').filter({ hasText: PROFILE })
    await row.locator('[data-state=succeeded]').waitFor({ timeout: 180_000 })
    await button(scene, row, 'profiles:pauseOf', { name: PROFILE }).click()
    const question = page.getByRole('tooltip')
    const pause = button(scene, question, 'profiles:pause')
    await expect.poll(() => pause.isDisabled()).toBe(true)
    await question.getByPlaceholder(t('profiles:reason')).fill('holidays')
    await pause.click()
    await row.getByText(t('profiles:pausedBecause', { reason: 'holidays' })).waitFor()
    await button(scene, row, 'profiles:runOf', { name: PROFILE }).click()
    await page.getByText(t('sync-run:succeeded')).waitFor({ timeout: 120_000 })
    expect(new URL(page.url()).pathname).toMatch(/^\/syncs\//)
    expectNoPageErrors(page)
  })
}
