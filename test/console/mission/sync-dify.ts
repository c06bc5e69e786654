import { expect, it } from 'vitest'
import { openRow } from '../../../demo/dify/dify-side.ts'
import { expectNoAxeViolations, expectNoPageErrors } from '../browser.ts'
import { DIFY } from './connect-dify.ts'
import { RECORDER_TOOL } from './recorder.ts'
import {
  asDify,
  button,
  complaints,
  dialog,
  expectNothingSaved,
  expectRefusal,
  field,
  instanceNamed,
  listOf,
  platformOf,
  type Scene,
} from './scene.ts'
import { IMPORTED, RECORDER } from './servers.ts'
import {
  back,
  cell,
  next,
  pickPlatform,
  pickServers,
  pickSpaces,
  planned,
  spaceBox,
  startPlanned,
  succeeded,
} from './wizard.ts'

export const FIRST_SPACE = 'Customer Care'
export const SECOND_SPACE = '研发工作区'
const OWN_TOKEN = 'tok-7Kq2mZx9Lw4Rt8Vb3Nc6'
const SECOND_TOKEN = 'tok-9Pd4xQm7Hs2Yv6Gk1Zr8'

type BindingView = {
  id: string
  space: { name: string }
  token: { origin: string; provenAt: string | null } | null
}

/** Two servers into two of three workspaces: chosen, authorized, read as a plan, watched, used, and synced again. */
export function syncToDify(scene: Scene): void {
  const { t } = scene

  it('M4: back in the wizard nothing is lost, and the new platform is the target', async () => {
    const { page } = scene
    await page.goBack()
    await page.getByText([RECORDER, IMPORTED].join(', ')).waitFor()
    await pickPlatform(scene, page, DIFY)
  })

  it('M6: the workspaces are shown with their owners; some, all, and a search that drops none', async () => {
    const { page, world } = scene
    const says = (count: number) => page.getByText(t('sync-wizard:spaces.says', { count, total: 3 }), { exact: true })
    const search = page.getByRole('searchbox', { name: t('sync-wizard:spaces.search') })
    for (const { name, owner } of world.dify.workspaces) {
      await page.getByRole('row').filter({ hasText: name }).filter({ hasText: owner }).waitFor()
    }
    await page.getByRole('radio', { name: t('sync-wizard:spaces.all', { count: 3 }) }).check()
    await says(3).waitFor()
    await page.getByRole('radio', { name: t('sync-wizard:spaces.some') }).check()
    await says(0).waitFor()
    await spaceBox(scene, page, FIRST_SPACE).check()
    await search.fill('林晓')
    await spaceBox(scene, page, FIRST_SPACE).waitFor({ state: 'detached' })
    await spaceBox(scene, page, SECOND_SPACE).check()
    await search.fill('nothing is called so')
    await spaceBox(scene, page, SECOND_SPACE).waitFor({ state: 'detached' })
    await says(2).waitFor()
    await search.fill('')
    await expectNoAxeViolations(page)
    await next(scene, page, 'authorization')
  })

  it('M7: every space gets a token of its own by default; one of the admin’s own is judged, and said at its cell', async () => {
    const { page } = scene
    await page.getByText(t('sync-wizard:authorization.says', { count: 4, own: 0 })).waitFor()
    await page.getByRole('tab', { name: RECORDER }).click()
    const own = field(scene, page, 'sync-wizard:authorization.ownTokenOf', { name: FIRST_SPACE })
    await choose(scene, 'sync-wizard:authorization.tokenOf', FIRST_SPACE, t('sync-wizard:authorization.own'))
    await expectNothingSaved(scene, '/syncs', async () => {
      await own.fill('short')
      await next(scene, page, 'plan')
      await expectRefusal(scene, page, t('problems:weak_token.title'))
      await back(scene, page, 'authorization')
    })
    await complaints(page.locator('.wizard-cells')).waitFor()
    await own.fill(OWN_TOKEN)
    await choose(scene, 'sync-wizard:authorization.expiryOf', FIRST_SPACE, t('sync-wizard:expiries.30d'))
    await page.getByText(t('sync-wizard:authorization.says', { count: 4, own: 1 })).waitFor()
    await expectNoAxeViolations(page)
  })

  it('M9: pass-through headers start from the server’s defaults, and one space gets its own; a wrong one is refused', async () => {
    const { page } = scene
    const headersOf = (name: string) =>
      page.getByRole('button', { name: t('sync-wizard:authorization.headersOf', { name }) })
    await headersOf(FIRST_SPACE).filter({ hasText: 'X-Tenant-Id' }).waitFor()
    const give = async (name: string, value: string) => {
      await headersOf(SECOND_SPACE).click()
      await field(scene, dialog(page), 'headers.name').fill(name)
      await field(scene, dialog(page), 'headers.value').fill(value)
      await button(scene, dialog(page), 'sync-wizard:headersDrawer.take').click()
      await dialog(page).waitFor({ state: 'hidden' })
    }
    await expectNothingSaved(scene, '/syncs', async () => {
      await give('Host', 'evil.example.com')
      await next(scene, page, 'plan')
      await expectRefusal(scene, page, t('problems:invalid_field.title'))
      await back(scene, page, 'authorization')
    })
    await give('X-Tenant-Id', 'blue')
    // Back and forth loses nothing.
    await back(scene, page, 'spaces')
    await page.getByText(t('sync-wizard:spaces.says', { count: 2, total: 3 }), { exact: true }).waitFor()
    await next(scene, page, 'authorization')
    await page.getByRole('tab', { name: RECORDER }).click()
    await expect
      .poll(() => field(scene, page, 'sync-wizard:authorization.ownTokenOf', { name: FIRST_SPACE }).inputValue())
      .toBe(OWN_TOKEN)
    await headersOf(SECOND_SPACE).filter({ hasText: 'X-Tenant-Id' }).waitFor()
    await next(scene, page, 'plan')
  })

  it('M11: the plan is read field by field, and nothing has been written for it', async () => {
    const { page } = scene
    await planned(scene, page, 'create', 4)
    await page
      .getByRole('button', { name: /expand|展开/i })
      .first()
      .click()
    await page.getByText(t('changes.secret')).first().waitFor()
    await expect.poll(() => button(scene, page, 'sync-wizard:plan.start').isDisabled()).toBe(true)
    await expectNoAxeViolations(page)
    expect(await scene.world.dify.side.snapshot(workspaceIds(scene))).toEqual([])
  })

  it('M10, M11: the run is watched live: each token is proven by a handshake through the gateway before anything is written', async () => {
    const { page, recorder, world } = scene
    recorder.forget()
    // The tools are listed once for each set of headers; the handshakes after that go through the gateway.
    const gate = recorder.holdAfterLists(2)
    await startPlanned(scene, page)
    await gate.held
    await page.getByText(t('states.running'), { exact: true }).first().waitFor()
    await page.getByText(t('sync-run:phases.mint')).waitFor()
    await page.getByText(t('sync-run:progressText', { ended: 0, total: 4 }), { exact: true }).waitFor()
    expect(await world.dify.side.snapshot(workspaceIds(scene))).toEqual([])
    await expectNoAxeViolations(page)
    gate.release()
    await succeeded(scene, page)
    for (const space of [FIRST_SPACE, SECOND_SPACE]) {
      for (const name of [IMPORTED, RECORDER]) await cell(scene, page, name, space, 'succeeded').waitFor()
    }
    await page.getByText(t('sync-run:progressText', { ended: 4, total: 4 }), { exact: true }).waitFor()
    await expectNoAxeViolations(page)
    expectNoPageErrors(page)

    const { id } = await platformOf(scene, 'dify')
    const bindings = await listOf<BindingView>(scene, `/bindings?platformId=${id}`)
    expect(bindings.map(({ token }) => token?.origin).sort()).toEqual(['custom', 'minted', 'minted', 'minted'])
    expect(bindings.filter(({ token }) => token?.provenAt == null)).toEqual([])
    // The real MCP server got the headers of each space, and no gateway token.
    expect(recorder.seen('X-Tenant-Id')).toEqual(new Set(['acme', 'blue']))
    expect(recorder.seen('Authorization')).toEqual(new Set())
  })

  it('M12: success is announced, and Dify lists and calls the tools', async () => {
    const { page } = scene
    await cell(scene, page, RECORDER, SECOND_SPACE, 'succeeded').click()
    await dialog(page).getByText(t('sync-run:drawer.object')).waitFor()
    await dialog(page).press('Escape')
    for (const space of [FIRST_SPACE, SECOND_SPACE]) {
      const tools = await asDify(scene, space, RECORDER, (session) => session.listTools())
      expect(tools).toEqual([RECORDER_TOOL])
      const sum = await asDify(scene, space, IMPORTED, (session) => session.callTool('get-sum', { a: 19, b: 23 }))
      expect(sum).toContain('42')
    }
  })

  it('M8: Dify was given Authorization and no other header; the admin’s own token is the one it sends', async () => {
    const [first, second] = await Promise.all([difyHeaders(scene, FIRST_SPACE), difyHeaders(scene, SECOND_SPACE)])
    expect(first).toEqual({ Authorization: `Bearer ${OWN_TOKEN}` })
    expect(Object.keys(second)).toEqual(['Authorization'])
    expect(second.Authorization).not.toBe(first.Authorization)
  })

  it('M13: what is unchanged is planned as that, and a second run does not touch it', async () => {
    const { page, world } = scene
    const before = await world.dify.side.snapshot(workspaceIds(scene))
    await pickServers(scene, page, [IMPORTED, RECORDER])
    await pickPlatform(scene, page, DIFY)
    await pickSpaces(scene, page, [FIRST_SPACE, SECOND_SPACE])
    await next(scene, page, 'plan')
    await planned(scene, page, 'unchanged', 4)
    await startPlanned(scene, page, 'startAnyway')
    await succeeded(scene, page)
    await cell(scene, page, RECORDER, FIRST_SPACE, 'unchanged').waitFor()
    expect(await world.dify.side.snapshot(workspaceIds(scene))).toEqual(before)
  })

  it('M8, M13: a new token updates the tool that is there, and its Authorization is written anew', async () => {
    const { page, world } = scene
    const before = await world.dify.side.snapshot(workspaceIds(scene))
    await pickServers(scene, page, [RECORDER])
    await pickPlatform(scene, page, DIFY)
    await pickSpaces(scene, page, [FIRST_SPACE])
    await choose(scene, 'sync-wizard:authorization.tokenOf', FIRST_SPACE, t('sync-wizard:authorization.own'))
    await field(scene, page, 'sync-wizard:authorization.ownTokenOf', { name: FIRST_SPACE }).fill(SECOND_TOKEN)
    await next(scene, page, 'plan')
    await planned(scene, page, 'update', 1)
    await startPlanned(scene, page)
    await succeeded(scene, page)
    expect(await difyHeaders(scene, FIRST_SPACE)).toEqual({ Authorization: `Bearer ${SECOND_TOKEN}` })
    const after = await world.dify.side.snapshot(workspaceIds(scene))
    const ids = (rows: Record<string, unknown>[]) => rows.map(({ row }) => (row as { id: string }).id)
    expect(ids(after)).toEqual(ids(before))
    expectNoPageErrors(page)
  })

  /** Chooses `option` in the list that belongs to a space. */
  async function choose(of: Scene, key: string, name: string, option: string): Promise<void> {
    await of.page.getByRole('combobox', { name: t(key, { name }), exact: true }).click()
    await of.page.getByTitle(option, { exact: true }).last().click()
  }
}

export function workspaceIds(scene: Scene): string[] {
  return scene.world.dify.workspaces.map(({ id }) => id)
}

/** The headers of the recorder's row in Dify's database, decrypted with the workspace's private key. */
async function difyHeaders(scene: Scene, workspace: string): Promise<Record<string, string>> {
  const { side, workspaces } = scene.world.dify
  const found = workspaces.find(({ name }) => name === workspace)
  const { id } = await instanceNamed(scene, RECORDER)
  const rows = await side.snapshot([found?.id ?? ''])
  const row = rows
    .map((entry) => entry.row as Parameters<typeof openRow>[0] & { name: string })
    .find(({ name }) => name === RECORDER)
  if (row === undefined || found === undefined) throw new Error(`Dify has no ${RECORDER} in ${workspace}.`)
  const { url, headers } = openRow(row, found.privateKeyPem)
  expect(url).toBe(`${scene.world.product.origin}/mcp-gateway/${id}/mcp`)
  return headers
}
