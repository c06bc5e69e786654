import type { Page } from 'playwright-core'
import { expect, it } from 'vitest'
import { expectNoAxeViolations, expectNoPageErrors } from '../browser.ts'
import { button, dialog, expectNothingSaved, expectRefusal, field, type Scene } from './scene.ts'

/** API keys are made by clicking, and whoever signs in with one is offered what it may do; the server refuses the rest. */
export function checkRoles(scene: Scene): void {
  const { t } = scene
  const keys: Record<string, string> = {}
  const buttonsOf = async (page: Page, path: string, heading: string): Promise<string[]> => {
    await page.goto(`${scene.world.product.origin}${path}`)
    await page.getByRole('heading', { name: t(heading), exact: true }).waitFor()
    await page.getByRole('row').nth(1).waitFor()
    return page.getByRole('main').getByRole('button').allInnerTexts()
  }
  /** What the API answers to the signed-in browser itself. */
  const statusOf = (page: Page, method: string, path: string, body: object): Promise<number> =>
    page.evaluate(
      async ([verb, url, text]) =>
        (
          await fetch(`/api/v1${url}`, {
            method: verb ?? '',
            headers: { 'content-type': 'application/json' },
            body: text ?? '',
          })
        ).status,
      [method, path, JSON.stringify(body)],
    )

  it('M15: an admin makes a key with a role; it is shown once, and one without a name is refused', async () => {
    const { page, world } = scene
    await page.goto(`${world.product.origin}/api-keys`)
    for (const role of ['viewer', 'operator']) {
      await button(scene, page, 'api-keys:new').click()
      const form = dialog(page)
      await expectNothingSaved(scene, '/api-keys', async () => {
        await button(scene, form, 'api-keys:make').click()
        await expectRefusal(scene, form, t('api-keys:nameRequired'))
      })
      await field(scene, form, 'api-keys:columns.name').fill(`the ${role}`)
      await form.getByRole('combobox', { name: t('api-keys:columns.role') }).click()
      await page
        .getByTitle(t(`roles.${role}`), { exact: true })
        .last()
        .click()
      await button(scene, form, 'api-keys:make').click()
      await page.getByText(t('api-keys:onlyNow')).waitFor()
      keys[role] = (await dialog(page).locator('code').textContent()) ?? ''
      expect(keys[role]).toMatch(/^tfa_/)
      await dialog(page)
        .getByRole('button', { name: t('close'), exact: true })
        .click()
      await page
        .getByRole('row')
        .filter({ hasText: `the ${role}` })
        .filter({ hasText: t(`roles.${role}`) })
        .waitFor()
    }
    await expectNoAxeViolations(page)
  })

  it('M15: a viewer looks, is offered nothing that would be refused, and is refused by the server', async () => {
    const { world, language } = scene
    const viewer = await world.signedIn({ language, apiKey: keys.viewer ?? '', path: '/' })
    expect(await buttonsOf(viewer, '/platforms', 'platforms:title')).not.toContain(t('platforms:add.button'))
    const onInstances = await buttonsOf(viewer, '/instances', 'instances:title')
    for (const key of [
      'instances:add.button',
      'instances:import.button',
      'instances:select.sync',
      'instances:probe.button',
    ]) {
      expect(onInstances).not.toContain(t(key))
    }
    await viewer.goto(`${world.product.origin}/syncs/new`)
    await viewer.getByText(t('needsRole', { role: t('roles.operator') })).waitFor()
    await viewer.goto(`${world.product.origin}/api-keys`)
    await viewer.getByText(t('needsRole', { role: t('roles.admin') })).waitFor()
    for (const path of ['/syncs', '/instances', '/platforms', '/api-keys']) {
      expect(await statusOf(viewer, 'POST', path, {})).toBe(403)
    }
    expectNoPageErrors(viewer)
    await viewer.context().close()
  })

  it('M15: an operator syncs and cuts off, and does not administer', async () => {
    const { world, language } = scene
    const operator = await world.signedIn({ language, apiKey: keys.operator ?? '', path: '/' })
    expect(await buttonsOf(operator, '/instances', 'instances:title')).toContain(t('instances:select.sync'))
    expect(await buttonsOf(operator, '/platforms', 'platforms:title')).not.toContain(t('platforms:add.button'))
    await operator.goto(`${world.product.origin}/access`)
    const access = operator.getByRole('switch').first()
    await access.waitFor()
    await expect.poll(() => access.isEnabled()).toBe(true)
    expect(await statusOf(operator, 'POST', '/platforms', {})).toBe(403)
    expect(await statusOf(operator, 'POST', '/api-keys', {})).toBe(403)
    // Not for want of the role: the body is empty.
    expect(await statusOf(operator, 'POST', '/syncs', {})).toBe(400)
    expectNoPageErrors(operator)
    await operator.context().close()
  })

  it('M15: a key that was revoked signs nobody in any more', async () => {
    const { page, world, language } = scene
    await page.goto(`${world.product.origin}/api-keys`)
    await button(scene, page, 'api-keys:revokeOf', { name: 'the operator' }).click()
    await button(scene, page.getByRole('tooltip'), 'api-keys:revoke').click()
    await page
      .getByRole('row')
      .filter({ hasText: 'the operator' })
      .filter({ hasText: t('states.revoked') })
      .waitFor()
    expect(language.length).toBe(2)
    const { status } = await world.api.call('GET', '/me', undefined, { authorization: `Bearer ${keys.operator}` })
    expect(status).toBe(401)
    expectNoPageErrors(page)
  })
}
