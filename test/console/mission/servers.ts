import { expect, it } from 'vitest'
import { expectNoAxeViolations, expectNoPageErrors } from '../browser.ts'
import { signIn } from '../world.ts'
import {
  button,
  clickAndHear,
  complaints,
  dialog,
  expectNothingSaved,
  expectRefusal,
  field,
  type Scene,
} from './scene.ts'

export const IMPORTED = 'everything'
export const MEMORY = 'memory'
export const RECORDER = 'recorder'

/** Signing in, and the two MCP servers that the mission is about: one by its address, one by the JSON of a client. */
export function registerServers(scene: Scene): void {
  const { t, say } = scene

  it('M15: nothing is shown without a key, and a wrong one is refused', async () => {
    const { page, world } = scene
    await page.goto(`${world.product.origin}/instances`)
    await button(scene, page, 'signIn.submit').click()
    await expectRefusal(scene, page, t('signIn.required'))
    await field(scene, page, 'signIn.apiKey').fill('tfa_not_a_key')
    await button(scene, page, 'signIn.submit').click()
    await expectRefusal(scene, page, t('problems:unauthenticated.title'))
    await expectNoAxeViolations(page)
    await signIn(page, world.product.adminKey, scene.language)
    await page.getByRole('heading', { name: t('instances:title'), exact: true }).waitFor()
  })

  it('M3, before it: a server is registered by its address, with default pass-through headers', async () => {
    const { page } = scene
    await page.getByText(t('instances:empty.title')).waitFor()
    await expectNoAxeViolations(page)
    await button(scene, page, 'instances:add.button').click()
    const form = dialog(page)
    const save = button(scene, form, 'save')
    await expectNothingSaved(scene, '/instances', async () => {
      await save.click()
      await expectRefusal(scene, form, t('instances:form.nameRequired'))
      await expectRefusal(scene, form, t('instances:form.urlRequired'))
      await field(scene, form, 'instances:form.name').fill(RECORDER)
      await field(scene, form, 'instances:form.url').fill('ftp://nowhere')
      await save.click()
      await expectRefusal(scene, form, t('problems:invalid_desired_state.title'))
      await field(scene, form, 'instances:form.url').fill(scene.recorder.url)
      await button(scene, form, 'headers.add').last().click()
      await field(scene, form, 'headers.name').fill('X Tenant')
      await field(scene, form, 'headers.value').fill('acme')
      await save.click()
      await expectRefusal(
        scene,
        form,
        say("is not a header name: only letters, digits and -_.!#$%&'*+^`|~ can stand in one"),
      )
    })
    await field(scene, form, 'headers.name').fill('X-Tenant-Id')
    await expectNoAxeViolations(page)
    await save.click()
    // A server that was just registered is asked at once.
    await page.getByRole('definition').filter({ hasText: 'X-Tenant-Id' }).waitFor()
    await page.getByText('scripted 1.2.3').waitFor()
    await expectNoAxeViolations(page)
  })

  it('M3, before it: others come by the JSON of a client; what is wrong in it is said, and nothing is half imported', async () => {
    const { page, world } = scene
    await page
      .getByRole('link', { name: t('nav.instances'), exact: true })
      .first()
      .click()
    await button(scene, page, 'instances:import.button').click()
    const form = dialog(page)
    const box = field(scene, form, 'instances:import.label')
    const send = button(scene, form, 'instances:import.ok')
    await expectNothingSaved(scene, '/instances', async () => {
      await box.fill('{ nonsense')
      await complaints(form)
        .filter({ hasText: t('instances:import.broken', { reason: '' }).trim() })
        .waitFor()
      await expect.poll(() => send.isDisabled()).toBe(true)
      await box.fill('{"servers":{}}')
      await expectRefusal(scene, form, t('instances:import.none'))
      await box.fill('{"mcpServers":{"by-hand":{"command":"npx"},"memory":{"url":"http://127.0.0.1:1/mcp"}}}')
      await form.getByText(t('instances:import.found', { names: 'by-hand, memory' })).waitFor()
      await send.click()
      await expectRefusal(scene, form, t('problems:invalid_import.title'))
    })
    const urlOf = (wanted: string) => world.servers.find(({ name }) => name === wanted)?.url
    const entries = [IMPORTED, MEMORY].map((name) => [name, { type: 'http', url: urlOf(name) }])
    await box.fill(JSON.stringify({ mcpServers: Object.fromEntries(entries) }))
    await clickAndHear(send, t('instances:import.done', { count: 2 }))
    await button(scene, page, 'instances:probe.of', { name: IMPORTED }).click()
    await page.getByRole('row').filter({ hasText: IMPORTED }).locator('[data-probe=ok]').waitFor()
    await expectNoAxeViolations(page)
    expectNoPageErrors(page)
  })
}
