import { createHash, createPublicKey, randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import pg from 'pg'
import type { Locator, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { encryptToken } from '../../src/platforms/dify/encryption.ts'
import { expectNoAxeViolations, expectNoPageErrors, PHONE, screenshot } from './browser.ts'
import { type ConsoleWorld, registerInstances, registerPlatforms, startConsole } from './world.ts'

/** Tokens of authorizations: what needs attention, replacing them, and what becomes of the former ones. */

/** A test of several runs, also on a busy machine. */
const LIMIT = 240_000

const OWN_TOKEN = 'tok-9Pw4Zx7Kq2mLt8Rb3Vc6'
/** A run, also on a busy machine. */
const SLOW = { timeout: 90_000, interval: 250 }

let world: ConsoleWorld
let instances: Record<string, string>
let difyId: string
beforeAll(async () => {
  world = await startConsole()
  difyId = (await registerPlatforms(world)).difyId
  instances = await registerInstances(world)
  await world.api.must(200, 'GET', `/platforms/${difyId}/spaces?refresh=true`)
  const { id } = await world.api.must<{ id: string }>(202, 'POST', '/syncs', {
    platformId: difyId,
    instanceIds: [instances.memory, instances.everything],
    spaceIds: 'all',
    acceptWarnings: true,
  })
  await succeeded(id)
})
afterAll(() => world.stop())

type Token = { id: string; start: string; origin: string }
type Binding = {
  id: string
  enabled: boolean
  rowVersion: number
  space: { id: string; name: string; remoteId: string }
  token: Token | null
  deployment: { state: string }
  formerTokens: (Token & { stage: string })[]
}

async function succeeded(id: string): Promise<void> {
  await vi.waitFor(
    async () => {
      const { state } = await world.api.must<{ state: string }>(200, 'GET', `/syncs/${id}`)
      expect(state).toBe('succeeded')
    },
    { timeout: 90_000, interval: 500 },
  )
}

async function bindingsOf(name: string): Promise<Binding[]> {
  const { items } = await world.api.must<{ items: Binding[] }>(200, 'GET', `/bindings?instanceId=${instances[name]}`)
  return items
}

it(
  'what the overview says of tokens leads to just these, and a filter that finds nothing is not "none yet"',
  async () => {
    const [binding] = await bindingsOf('memory')
    expect(binding).toBeDefined()
    await world.api.must(200, 'POST', '/bindings/batch', {
      changes: [{ id: binding?.id, rowVersion: binding?.rowVersion, expiresIn: '7d' }],
    })
    const page = await world.signedIn()
    await page.getByRole('link', { name: '1 access ends within 7 days.' }).click()
    await page.getByRole('switch', { name: /^Access of memory/ }).waitFor()
    expect(new URL(page.url()).search).toBe('?attention=token_expires_in_7_days')
    await expect.poll(() => page.locator('tbody tr[data-row-key]').count()).toBe(1)
    await screenshot(page, 'access-attention-en')

    await page.goto(`${world.product.origin}/access?attention=still_used&platform=${difyId}`)
    await page.getByText('Nothing matches these filters').waitFor()
    await screenshot(page, 'access-no-match-en')
    await expectNoAxeViolations(page)
    await page.getByRole('button', { name: 'Clear the filters' }).click()
    await page
      .getByRole('switch', { name: /^Access of everything/ })
      .first()
      .waitFor()
    expect(new URL(page.url()).search).toBe('')
    expectNoPageErrors(page)
  },
  LIMIT,
)

it(
  "a token is replaced by one's own: refused when it is weak, brought by a run, and the former one is ended by hand",
  async () => {
    const page = await world.signedIn({ path: `/access?instance=${instances.memory}` })
    const [binding] = await bindingsOf('memory')
    const name = `memory · ${binding?.space.name}`
    await page.getByRole('button', { name: `More for ${name}` }).click()
    await page.getByRole('menuitem', { name: 'Replace the token…' }).click()
    const dialog = page.getByRole('dialog', { name: `Replace the token of ${name}` })
    await dialog.getByRole('radio', { name: 'Your own' }).check()
    await expect.poll(() => replace(dialog).isDisabled()).toBe(true)
    await dialog.getByLabel('Your new token').fill('short')
    await replace(dialog).click()
    await dialog.getByText('This token is too weak').waitFor()
    await screenshot(page, 'rotate-one-en')
    await expectNoAxeViolations(page)
    await dialog.getByLabel('Your new token').fill(OWN_TOKEN)
    await replace(dialog).click()
    await dialog.getByText('1 token is being replaced.').waitFor()
    await succeeded(await startedRun(page))
    await dialog.getByRole('button', { name: 'Close' }).last().click()
    await vi.waitFor(async () => {
      const [now] = await bindingsOf('memory')
      expect([now?.token?.origin, now?.formerTokens.map(({ stage }) => stage)]).toEqual(['custom', ['grace']])
    }, SLOW)

    await page.getByRole('button', { name: `Tokens of ${name}` }).click()
    const drawer = page.getByRole('dialog', { name: `Tokens of ${name}` })
    await drawer.getByText('Your own').waitFor()
    await drawer.getByText('In its grace period').waitFor()
    expect(new URL(page.url()).searchParams.get('tokens')).toBe(binding?.id)
    await screenshot(page, 'tokens-en')
    await expectNoAxeViolations(page)
    await drawer.getByRole('button', { name: /^End now: tfg_/ }).click()
    await page.getByText('Whoever still sends it is refused from then on.').waitFor()
    await page.getByRole('button', { name: 'End now', exact: true }).last().click()
    await drawer.getByText('None. When a token is replaced').waitFor()
    expect((await bindingsOf('memory'))[0]?.formerTokens).toEqual([])
    // Where a token's calls are, the log shows just these.
    await drawer.getByRole('link', { name: 'Calls with it, in the gateway log' }).first().click()
    await page.getByText('With one token only').waitFor()
    await page.getByRole('table').getByText('tools/list').or(page.getByText('initialize')).first().waitFor()
    expectNoPageErrors(page)
  },
  LIMIT,
)

it(
  'several tokens are replaced at once and the former ones end as soon as the platform holds the new ones',
  async () => {
    const page = await world.signedIn({ path: `/instances/${instances.everything}/access` })
    const before = await bindingsOf('everything')
    const boxes = page.getByRole('checkbox', { name: /^Select everything/ })
    await boxes.nth(1).waitFor()
    await boxes.nth(0).check()
    await boxes.nth(1).check()
    await page.getByRole('button', { name: 'Replace tokens' }).last().click()
    const dialog = page.getByRole('dialog', { name: 'Replace tokens' })
    await dialog.getByText('2 tokens are replaced, by one run a platform (1):').waitFor()
    await dialog.getByRole('radio', { name: 'As soon as the platform holds the new one, used or not' }).check()
    await dialog.getByText('For a token that leaked.').waitFor()
    await screenshot(page, 'rotate-many-en')
    await expectNoAxeViolations(page)
    await replace(dialog).click()
    await dialog.getByText('2 tokens are being replaced.').waitFor()
    await succeeded(await startedRun(page))
    await vi.waitFor(async () => {
      const now = await bindingsOf('everything')
      expect(now.map(({ formerTokens }) => formerTokens.length)).toEqual(now.map(() => 0))
      expect(now.filter(({ token }, index) => token?.id !== before[index]?.token?.id)).toHaveLength(2)
    }, SLOW)
    expectNoPageErrors(page)
  },
  LIMIT,
)

it(
  'everything, in Chinese on a phone; a viewer sees the tokens and changes nothing',
  async () => {
    const page = await world.signedIn({ path: '/access', language: 'zh', viewport: PHONE })
    await page.getByRole('button', { name: '更换令牌' }).click()
    const dialog = page.getByRole('dialog', { name: '更换令牌' })
    await dialog.getByText('将更换 6 个令牌，每个平台运行一次（共 1 次）：').waitFor()
    await screenshot(page, 'rotate-all-zh-phone')
    await expectNoAxeViolations(page)
    await dialog.getByRole('button', { name: '取消' }).click()
    expectNoPageErrors(page)

    const { key } = await world.api.must<{ key: string }>(201, 'POST', '/api-keys', { name: 'viewer', role: 'viewer' })
    const [binding] = await bindingsOf('memory')
    const viewer = await world.signedIn({ path: `/access?instance=${instances.memory}`, apiKey: key })
    await viewer.getByRole('button', { name: `More for memory · ${binding?.space.name}` }).click()
    await viewer.getByRole('menuitem', { name: 'Tokens' }).waitFor()
    expect(await viewer.getByRole('menuitem').allTextContents()).toEqual(['Tokens', 'Calls in the gateway log'])
    await viewer.getByRole('menuitem', { name: 'Tokens' }).click()
    await viewer.getByRole('dialog').getByText('Begins with').waitFor()
    await expect.poll(() => viewer.getByRole('button', { name: /^(Replace|End)/ }).count()).toBe(0)
    expectNoPageErrors(viewer)
  },
  LIMIT,
)

it(
  'a whole space is cut off and let in again',
  async () => {
    const [binding] = await bindingsOf('memory')
    const page = await world.signedIn({ path: `/platforms/${difyId}` })
    const more = page.getByRole('button', { name: `More for ${binding?.space.name}` })
    await more.click()
    await page.getByRole('menuitem', { name: 'Cut it off' }).click()
    await page.getByText('Its gateway tokens are refused at once').waitFor()
    await screenshot(page, 'space-cut-off-en')
    await expectNoAxeViolations(page)
    await page.getByRole('button', { name: 'Cut it off' }).click()
    await page.getByRole('dialog').getByText('Cut off', { exact: false }).last().waitFor()
    await vi.waitFor(async () => {
      const there = (await allBindings()).filter(({ space }) => space.id === binding?.space.id)
      expect(there.map(({ enabled }) => enabled)).toEqual([false, false])
    }, SLOW)
    await more.click()
    await page.getByRole('menuitem', { name: 'Let it in again' }).click()
    await vi.waitFor(async () => {
      expect((await allBindings()).filter(({ enabled }) => !enabled)).toEqual([])
    }, SLOW)
    expectNoPageErrors(page)
  },
  LIMIT,
)

it(
  'an object is taken away from one space only',
  async () => {
    const [binding] = await bindingsOf('everything')
    const name = `everything · ${binding?.space.name}`
    const page = await world.signedIn({ path: `/instances/${instances.everything}/access` })
    await page.getByRole('button', { name: `More for ${name}` }).click()
    await page.getByRole('menuitem', { name: 'Remove from the platform…' }).click()
    const dialog = page.getByRole('dialog', { name: 'Remove 1 object from its platform?' })
    await dialog.getByText(name).waitFor()
    await screenshot(page, 'remove-en')
    await expectNoAxeViolations(page)
    await dialog.getByRole('button', { name: /Remove$/ }).click()
    await page.waitForURL(/\/syncs\//, { timeout: 60_000 })
    await succeeded(new URL(page.url()).pathname.split('/').at(-1) ?? '')
    const states = (await bindingsOf('everything')).map(({ id, deployment }) => [id === binding?.id, deployment.state])
    expect(states.filter(([isMeant, state]) => isMeant !== (state === 'removed'))).toEqual([])
    expectNoPageErrors(page)
  },
  LIMIT,
)

it(
  'what stands in the way is shown, adopted, and brought to what it should be',
  async () => {
    const id = instances['everything-sse'] ?? ''
    const [{ space } = { space: { id: '', name: '', remoteId: '' } }] = await bindingsOf('memory')
    await addByHand(space.remoteId, 'By hand', `${world.product.origin}/mcp-gateway/${id}/sse`)
    const { id: blocked } = await world.api.must<{ id: string }>(202, 'POST', '/syncs', {
      platformId: difyId,
      instanceIds: [id],
      spaceIds: [space.id],
      acceptWarnings: true,
    })
    const page = await world.signedIn({ path: `/syncs/${blocked}` })
    await page.getByRole('button', { name: /^everything-sse in .*: Conflict/ }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Adopt' }).click()
    const dialog = page.getByRole('dialog', { name: /^Adopt what stands there/ })
    await dialog.getByText('What the next sync changes of it').waitFor()
    await dialog.getByRole('definition').filter({ hasText: 'By hand' }).first().waitFor()
    await screenshot(page, 'adopt-en')
    await expectNoAxeViolations(page)
    await dialog.getByLabel('Another object, by its id on the platform').fill('no-such-object')
    await dialog.getByRole('button', { name: 'Look' }).click()
    await dialog.getByText('Nothing was found to adopt').waitFor()
    await expect.poll(() => dialog.getByRole('button', { name: 'Adopt it' }).isDisabled()).toBe(true)
    await dialog.getByLabel('Another object, by its id on the platform').fill('')
    await dialog.getByRole('button', { name: 'Look' }).click()
    await dialog.getByText('What the next sync changes of it').waitFor()
    await dialog.getByRole('button', { name: 'Adopt it' }).click()
    await dialog.getByText('It is ours now').waitFor()
    await dialog.getByRole('button', { name: 'Sync it now' }).click()
    await page.getByText('Everything stands as it should').waitFor({ timeout: 90_000 })
    expectNoPageErrors(page)
  },
  LIMIT,
)

it(
  'the audit is exported as the page shows it',
  async () => {
    const page = await world.signedIn({ path: '/audit?resource=binding&action=rotate' })
    await page.getByText('rotate', { exact: true }).first().waitFor()
    await screenshot(page, 'audit-filtered-en')
    await expectNoAxeViolations(page)
    const exported = async (format: RegExp) => {
      await page.getByRole('button', { name: 'Export' }).click()
      const download = page.waitForEvent('download')
      await page.getByRole('menuitem', { name: format }).getByRole('link').click()
      return await readFile(await (await download).path(), 'utf8')
    }
    const [header, ...rows] = (await exported(/^CSV/)).trimEnd().split('\r\n')
    expect(header).toContain('"actor"')
    expect(rows.length).toBeGreaterThan(0)
    expect(rows.filter((row) => !row.includes('"rotate","binding"'))).toEqual([])
    await page.getByLabel('Until').fill('2020-01-01')
    await page.getByText('Nothing recorded').waitFor()
    expect(await exported(/^NDJSON/)).toBe('')
    await page.getByRole('button', { name: 'Clear the filters' }).click()
    await page
      .getByText('reveal', { exact: true })
      .or(page.getByText('create', { exact: true }))
      .first()
      .waitFor()
    expectNoPageErrors(page)
  },
  LIMIT,
)

/** Somebody's own MCP tool in a workspace of Dify, as Dify stores it; it calls our gateway. */
async function addByHand(workspaceId: string, name: string, url: string): Promise<void> {
  const workspace = world.dify.workspaces.find(({ id }) => id === workspaceId)
  const key = createPublicKey(workspace?.privateKeyPem ?? '').export({ type: 'spki', format: 'pem' })
  const { host, port, user, password, database } = world.dify.address
  const client = new pg.Client({ host, port, user, password, database })
  await client.connect()
  try {
    await client.query(
      `INSERT INTO tool_mcp_providers (id, name, server_identifier, server_url, server_url_hash, icon, tenant_id, user_id, authed, tools)
       VALUES ($1, $2, 'by-hand', $3, $4, '{"content":"🧿","background":"#EFF1F5"}', $5, $6, false, '[]')`,
      [
        randomUUID(),
        name,
        encryptToken(key.toString().trim(), url),
        createHash('sha256').update(url).digest('hex'),
        workspaceId,
        randomUUID(),
      ],
    )
  } finally {
    await client.end()
  }
}

/** While it waits, and a moment after, the button is called "loading Replace". */
const replace = (dialog: Locator) => dialog.getByRole('button', { name: /Replace$/ })

/** The id of the run that the dialog links to. */
async function startedRun(page: Page): Promise<string> {
  const link = page.getByRole('dialog').getByRole('link', { name: 'Rotate tokens in Demo Dify' })
  await link.waitFor()
  return (await link.getAttribute('href'))?.split('/').at(-1) ?? ''
}

async function allBindings(): Promise<Binding[]> {
  return (await world.api.must<{ items: Binding[] }>(200, 'GET', '/bindings?limit=200')).items
}
