import type { Page } from 'playwright-core'
import { expect, it } from 'vitest'
import { CallRefused } from '../../../demo/dify/mcp-call.ts'
import { expectNoAxeViolations, expectNoPageErrors } from '../browser.ts'
import { RECORDER_TOOL } from './recorder.ts'
import {
  asDify,
  button,
  clickAndHear,
  dialog,
  expectNothingSaved,
  expectRefusal,
  field,
  instanceNamed,
  listOf,
  type Scene,
} from './scene.ts'
import { RECORDER } from './servers.ts'
import { FIRST_SPACE, SECOND_SPACE } from './sync-dify.ts'

type BindingView = { space: { name: string }; tags: string[]; expiresAt: string | null }

/** Instance → Access: what each space may do, changed and cut off while Dify calls. */
export function configureAccess(scene: Scene): void {
  const { t } = scene
  const nameOf = (space: string) => `${RECORDER} · ${space}`
  const switchOf = (page: Page, space: string) =>
    page.getByRole('switch', { name: t('access:accessOf', { name: nameOf(space) }), exact: true })
  const callFrom = (space: string) =>
    asDify(scene, space, RECORDER, (session) => session.callTool(RECORDER_TOOL, { text: `from ${space}` }))
  const edit = async (page: Page, space: string) => {
    await button(scene, page, 'access:editOf', { name: nameOf(space) }).click()
    await dialog(page).getByText(nameOf(space), { exact: true }).waitFor()
  }
  const bindingsPath = async () => `/bindings?instanceId=${(await instanceNamed(scene, RECORDER)).id}`

  it('M14: the access configuration of a server shows every space’s authorization', async () => {
    const { page, world } = scene
    await page.goto(`${world.product.origin}/instances`)
    await page
      .getByRole('row')
      .filter({ hasText: RECORDER })
      .getByRole('link', { name: t('instances:columns.open'), exact: true })
      .click()
    for (const space of [FIRST_SPACE, SECOND_SPACE]) {
      await page
        .getByRole('row')
        .filter({ hasText: space })
        .filter({ hasText: t('access:accessStates.granted') })
        .waitFor()
    }
    await page.getByRole('row').filter({ hasText: SECOND_SPACE }).filter({ hasText: 'X-Tenant-Id' }).waitFor()
    await page
      .getByRole('row')
      .filter({ hasText: FIRST_SPACE })
      .filter({ hasText: t('access:inherited') })
      .waitFor()
    await expectNoAxeViolations(page)
  })

  it('M9, M14: changed pass-through headers reach the MCP server with the next call; wrong ones are refused', async () => {
    const { page, recorder } = scene
    await edit(page, FIRST_SPACE)
    const form = dialog(page)
    await form.getByRole('radio', { name: t('access:headerModes.own') }).check()
    await button(scene, form, 'headers.add').click()
    await expectNothingSaved(scene, await bindingsPath(), async () => {
      await field(scene, form, 'headers.name').fill('Host')
      await field(scene, form, 'headers.value').fill('evil.example.com')
      await button(scene, form, 'save').click()
      await expectRefusal(scene, form, t('problems:invalid_field.title'))
    })
    await field(scene, form, 'headers.name').fill('X-Tenant-Id')
    await field(scene, form, 'headers.value').fill('green')
    await expectNoAxeViolations(page)
    await button(scene, form, 'save').click()
    await page.getByRole('row').filter({ hasText: FIRST_SPACE }).filter({ hasText: 'X-Tenant-Id' }).waitFor()
    recorder.forget()
    await callFrom(FIRST_SPACE)
    expect(recorder.seen('X-Tenant-Id')).toEqual(new Set(['green']))
  })

  it('M14: one space is cut off: its very next call through the gateway is refused, the others go on; and it is let in again', async () => {
    const { page } = scene
    await clickAndHear(switchOf(page, FIRST_SPACE), t('access:cutOff'))
    await expect(callFrom(FIRST_SPACE)).rejects.toThrowError(CallRefused)
    await expect(callFrom(FIRST_SPACE)).rejects.toMatchObject({ status: 403 })
    await callFrom(SECOND_SPACE)
    await page
      .getByRole('row')
      .filter({ hasText: FIRST_SPACE })
      .filter({ hasText: t('access:accessStates.disabled') })
      .waitFor()
    await page.getByRole('tab', { name: t('instances:tabs.log'), exact: true }).click()
    await page
      .getByRole('row')
      .filter({ hasText: t('gateway-log:refusals.binding_disabled') })
      .first()
      .waitFor()
    await expectNoAxeViolations(page)
    await page.getByRole('tab', { name: t('instances:tabs.access'), exact: true }).click()
    await clickAndHear(switchOf(page, FIRST_SPACE), t('access:enabled'))
    await callFrom(FIRST_SPACE)
    expectNoPageErrors(page)
  })

  it('M14: of two admins who change one authorization the second is told, and nothing is overwritten', async () => {
    const { page, world, language } = scene
    const second = await world.signedIn({ language, path: new URL(page.url()).pathname })
    for (const admin of [page, second]) await edit(admin, SECOND_SPACE)
    const tag = async (admin: Page, name: string) => {
      await field(scene, dialog(admin), 'access:fields.tags').fill(name)
      await field(scene, dialog(admin), 'access:fields.tags').press('Enter')
      await button(scene, dialog(admin), 'save').click()
    }
    await tag(page, 'theirs')
    await page.getByRole('row').filter({ hasText: SECOND_SPACE }).filter({ hasText: 'theirs' }).waitFor()
    await expectNothingSaved(scene, await bindingsPath(), async () => {
      await tag(second, 'mine')
      await expectRefusal(scene, dialog(second), t('problems:stale_write.title'))
    })
    await expectNoAxeViolations(second)
    await button(scene, dialog(second), 'close').last().click()
    await second.getByRole('row').filter({ hasText: SECOND_SPACE }).filter({ hasText: 'theirs' }).waitFor()
    const bindings = await listOf<BindingView>(scene, await bindingsPath())
    expect(bindings.find(({ space }) => space.name === SECOND_SPACE)?.tags).toEqual(['theirs'])
    expectNoPageErrors(second)
    await second.context().close()
  })
}
