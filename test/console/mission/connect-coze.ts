import { expect, it } from 'vitest'
import { COZE_GATEWAY_URL } from '../../../demo/coze.ts'
import { expectNoAxeViolations, expectNoPageErrors } from '../browser.ts'
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

export const COZE = 'Our COZE'

/** A COZE enterprise, and the cookie of one of its users. */
export function connectCoze(scene: Scene): void {
  const { t, say } = scene

  it('M2: a COZE enterprise takes its team or enterprise ID and a cookie; open-source COZE is refused with the reason', async () => {
    const { page, world } = scene
    const { coze } = world
    await page.goto(`${world.product.origin}/platforms`)
    await button(scene, page, 'platforms:add.button').click()
    await page.getByRole('menuitem', { name: t('platforms:add.coze') }).click()
    const form = dialog(page)
    const save = button(scene, form, 'save')
    const cookie = form.getByRole('textbox', { name: t('platforms:cookie.label') })
    const id = field(scene, form, 'platforms:form.enterpriseId')
    await expectNothingSaved(scene, '/platforms', async () => {
      await save.click()
      await expectRefusal(scene, form, t('platforms:form.nameRequired'))
      await expectRefusal(scene, form, t('platforms:form.required', { what: t('platforms:form.enterpriseId') }))
      await field(scene, form, 'platforms:form.name').fill(COZE)
      await id.fill('has blanks in it')
      await expectRefusal(scene, form, t('platforms:form.enterpriseWrong'))
      await id.fill('volcano_999')
      await field(scene, form, 'platforms:form.baseUrl').fill('www.coze.cn')
      await save.click()
      await expectRefusal(scene, form, t('platforms:form.urlWrong'))
      await field(scene, form, 'platforms:form.baseUrl').fill(coze.simulator.origin)
      await optionalField(scene, form, 'platforms:form.gatewayUrl').fill(COZE_GATEWAY_URL)
      await cookie.fill('session_key=of-the-open-source-edition')
      await save.click()
      await expectRefusal(scene, form, t('problems:unsupported_version.title'))
      await complaintsSay('This is the open-source edition of COZE (Coze Studio), which has no MCP plugins.')
      await cookie.fill('i18next=zh-CN')
      await save.click()
      await expectRefusal(scene, form, t('problems:invalid_desired_state.title'))
      await cookie.fill(coze.user.cookie)
      await save.click()
      await expectRefusal(scene, form, t('problems:check_failed.title'))
    })
    await id.fill(coze.enterpriseId)

    async function complaintsSay(english: string): Promise<void> {
      await form
        .getByRole('alert')
        .filter({ hasText: say(english) })
        .waitFor()
    }
  })

  it('M5: the cookie is checked at once: whose it is, which spaces it opens, until when; it is sealed', async () => {
    const { page, world } = scene
    const { user, memberOnly } = world.coze
    const form = dialog(page)
    await form.getByText(t('platforms:cookie.where')).click()
    await form.getByText(t('platforms:cookie.steps.tools')).waitFor()
    await form.getByText(t('platforms:credential.ends')).waitFor()
    await button(scene, form, 'platforms:form.test').click()
    await form.getByText(t('platforms:check.ok', { version: say('COZE, team or enterprise') })).waitFor()
    await form.locator('[data-finding=login][data-ok=true]').filter({ hasText: user.name }).waitFor()
    await form
      .locator('[data-finding=spaces][data-ok=true]')
      .filter({ hasText: say('2 in which the user is owner or administrator') })
      .waitFor()
    await expectLanguage(scene, form.getByRole('status'))
    await expectNoAxeViolations(page)
    await button(scene, form, 'save').click()
    await page.getByRole('heading', { name: t('platforms:spaces.title'), exact: true }).waitFor()
    const row = (name: string, role: string) =>
      page
        .getByRole('row')
        .filter({ hasText: name })
        .filter({ hasText: t(`platforms:spaceRoles.${role}`) })
    await row('研发 R&D', 'owner').waitFor()
    await row('市场 Marketing', 'admin').waitFor()
    await dialog(page).getByText(`${user.name} (${user.userId})`).waitFor()
    await expect.poll(() => row(memberOnly.name, 'member').count()).toBe(0)
    await expectNoAxeViolations(page)
    // Never shown again, by no answer of the API.
    const session = /sessionid=(\w+)/.exec(user.cookie)?.[1] ?? 'none'
    expect(world.api.answers().filter((answer) => answer.includes(session))).toEqual([])
    expect((await page.content()).includes(session)).toBe(false)
  })

  it('M5: a cookie that died is seen by the next check, and is replaced in place', async () => {
    const { page, world } = scene
    const { coze } = world
    coze.simulator.loseSession({ userId: coze.user.userId })
    await button(scene, page, 'platforms:actions.check').click()
    await page.getByText(t('platforms:check.failed')).waitFor()
    await page.locator('.ant-drawer [data-state=expired]').first().waitFor()
    await button(scene, page, 'platforms:actions.cookie').click()
    const form = dialog(page).filter({ hasText: t('platforms:credential.cookie', { name: COZE }) })
    const cookie = form.getByRole('textbox', { name: t('platforms:cookie.label') })
    const save = button(scene, form, 'save')
    await expectNothingSaved(scene, '/platforms', async () => {
      await save.click()
      await expectRefusal(scene, form, t('platforms:cookie.required'))
      await cookie.fill('sessionid=dead')
      await save.click()
      await expectRefusal(scene, form, t('problems:check_failed.title'))
    })
    await cookie.fill(coze.simulator.login(coze.user.userId))
    await save.click()
    await form.waitFor({ state: 'hidden' })
    await page.locator('.ant-drawer [data-state=valid]').first().waitFor()
    expectNoPageErrors(page)
  })
}
