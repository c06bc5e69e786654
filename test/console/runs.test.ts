import pg from 'pg'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { expectNoAxeViolations, expectNoPageErrors } from './browser.ts'
import { WORDS } from './words.ts'
import { type ConsoleWorld, registerInstances, registerPlatforms, startConsole } from './world.ts'

/** What a person does with a run that is going on or has ended, and with what is no longer as it was written. */

/** A test of several runs, also on a busy machine. */
const LIMIT = 240_000
/** A run, also on a busy machine. */
const SLOW = { timeout: 90_000, interval: 250 }

const { t } = WORDS.en

let world: ConsoleWorld
let instances: Record<string, string>
let platforms: { difyId: string; cozeId: string }
beforeAll(async () => {
  world = await startConsole()
  platforms = await registerPlatforms(world)
  instances = await registerInstances(world)
  await world.api.must(200, 'GET', `/platforms/${platforms.difyId}/spaces?refresh=true`)
})
afterAll(() => world.stop())

type Run = { state: string; cancelRequested: boolean; counts: Record<string, number> }

const readRun = (id: string) => world.api.must<Run>(200, 'GET', `/syncs/${id}`)
const reached = (id: string, state: string) =>
  vi.waitFor(async () => expect(await readRun(id)).toMatchObject({ state }), SLOW)

async function start(platformId: string, instanceId: string | undefined): Promise<string> {
  const body = { platformId, instanceIds: [instanceId], spaceIds: 'all', acceptWarnings: true }
  return (await world.api.must<{ id: string }>(202, 'POST', '/syncs', body)).id
}

/** A profile's check: it looks at everything, writes nothing, and notes what drifted. */
async function check(platformId: string, instanceId: string | undefined): Promise<void> {
  const selection = { instanceIds: [instanceId], spaceIds: 'all' }
  const body = { name: 'Checks', platformId, selection, acceptWarnings: true }
  const profile = await world.api.must<{ id: string }>(201, 'POST', '/profiles', body)
  const run = await world.api.must<{ id: string }>(202, 'POST', `/profiles/${profile.id}/trigger`, { dryRun: true })
  await reached(run.id, 'planned')
}

/** Until it is released COZE answers no such call. */
const hold = (endpoint: 'library_resource_list' | 'register_plugin_meta' | 'space/list') =>
  world.coze.simulator.faults.add({ endpoint, times: Number.POSITIVE_INFINITY, fault: { kind: 'hold' } })

const mark = (page: Page, state: string) => page.locator(`main [data-state=${state}]`).first()
const shownRun = (page: Page) => new URL(page.url()).pathname.split('/').at(-1) ?? ''

/** Presses the button that begins a new run of what was left, and follows that one to its end. */
async function retry(page: Page, id: string): Promise<Run> {
  await page.getByRole('button', { name: /^Retry what failed/ }).click()
  await expect.poll(() => shownRun(page)).not.toBe(id)
  await page.getByText(t('sync-run:succeeded')).waitFor({ timeout: SLOW.timeout })
  return readRun(shownRun(page))
}

it(
  'a run is paused, writes nothing meanwhile, and goes on to its end',
  async () => {
    const planning = hold('library_resource_list')
    const writing = hold('register_plugin_meta')
    try {
      const id = await start(platforms.cozeId, instances.memory)
      await planning.hit
      const page = await world.signedIn({ path: `/syncs/${id}` })
      await page.getByRole('button', { name: t('sync-run:pause'), exact: true }).click()
      await mark(page, 'paused').waitFor()
      await reached(id, 'paused')
      await expectNoAxeViolations(page)
      planning.release()
      // What was begun comes to its end, and nothing after it begins.
      const planned = () => world.api.must<{ items: { action: string | null }[] }>(200, 'GET', `/syncs/${id}/targets`)
      await expect.poll(async () => (await planned()).items.some(({ action }) => action === 'create')).toBe(true)
      expect(await readRun(id)).toMatchObject({ state: 'paused' })
      expect(writing.hits()).toBe(0)
      await page.getByRole('button', { name: t('sync-run:resume'), exact: true }).click()
      await writing.hit
      await mark(page, 'running').waitFor()
      await page.getByRole('button', { name: t('sync-run:pause'), exact: true }).waitFor()
      writing.release()
      await page.getByText(t('sync-run:succeeded')).waitFor({ timeout: SLOW.timeout })
      expect(await readRun(id)).toMatchObject({ state: 'succeeded' })
      expectNoPageErrors(page)
    } finally {
      planning.remove()
      writing.remove()
    }
  },
  LIMIT,
)

it(
  'a run is cancelled only when that is confirmed, and what it left is done by another one',
  async () => {
    const planning = hold('library_resource_list')
    try {
      const id = await start(platforms.cozeId, instances.everything)
      await planning.hit
      const page = await world.signedIn({ path: `/syncs/${id}` })
      const ask = page.getByRole('button', { name: t('sync-run:cancel'), exact: true }).first()
      const question = page.getByRole('tooltip').filter({ hasText: t('sync-run:cancelQuestion') })
      await ask.click()
      await question.getByText(t('sync-run:cancelMeaning')).waitFor()
      await expectNoAxeViolations(page)
      await question.getByRole('button', { name: t('common:no'), exact: true }).click()
      await question.waitFor({ state: 'hidden' })
      expect(await readRun(id)).toMatchObject({ state: 'running', cancelRequested: false })
      await ask.click()
      const asked = page.waitForResponse((response) => response.url().endsWith(`/syncs/${id}/cancel`))
      await question.getByRole('button', { name: t('sync-run:cancel'), exact: true }).click()
      // Once it is answered Temporal knows of it: nothing after the reading that is held is begun.
      await (await asked).finished()
      expect(await readRun(id)).toMatchObject({ cancelRequested: true })
      planning.release()
      await reached(id, 'cancelled')
      expect((await readRun(id)).counts).toMatchObject({ cancelled: world.coze.writable.length })
      await mark(page, 'cancelled').waitFor()
      await ask.waitFor({ state: 'detached' })
      expect(await retry(page, id)).toMatchObject({ state: 'succeeded' })
      expectNoPageErrors(page)
    } finally {
      planning.remove()
    }
  },
  LIMIT,
)

it(
  'a run that is cancelled before it has targets is done as a whole by another one',
  async () => {
    const listing = hold('space/list')
    try {
      const selection = { instanceIds: [instances.memory], spaceIds: 'all' }
      const body = { name: 'Cancelled', platformId: platforms.cozeId, selection, acceptWarnings: true }
      const profile = await world.api.must<{ id: string }>(201, 'POST', '/profiles', body)
      const { id } = await world.api.must<{ id: string }>(202, 'POST', `/profiles/${profile.id}/trigger`, {})
      await listing.hit
      await world.api.must(202, 'POST', `/syncs/${id}/cancel`, {})
      await reached(id, 'cancelled')
      listing.release()
      expect((await readRun(id)).counts).toMatchObject({ total: 0 })
      const page = await world.signedIn({ path: `/syncs/${id}` })
      expect(await retry(page, id)).toMatchObject({ state: 'succeeded', counts: { total: world.coze.writable.length } })
      expectNoPageErrors(page)
    } finally {
      listing.remove()
    }
  },
  LIMIT,
)

it(
  'what failed because its MCP server was away is done by another run once that is there',
  async () => {
    const away = { name: 'late', url: 'http://127.0.0.1:9/mcp' }
    const late = await world.api.must<{ id: string }>(201, 'POST', '/instances', away)
    const path = `/instances/${late.id}`
    const id = await start(platforms.difyId, late.id)
    await reached(id, 'failed')
    const page = await world.signedIn({ path: `/syncs/${id}` })
    await page
      .getByRole('button', { name: /^late in .*: Failed/ })
      .first()
      .waitFor()
    const { rowVersion } = await world.api.must<{ rowVersion: number }>(200, 'GET', path)
    const url = world.servers.find(({ name }) => name === 'memory')?.url
    const moved = await world.api.call('PATCH', path, { url }, { 'if-match': `"${rowVersion}"` })
    expect(moved.status).toBe(200)
    const { state, counts } = await retry(page, id)
    expect({ state, succeeded: counts.succeeded }).toEqual({
      state: 'succeeded',
      succeeded: world.dify.workspaces.length,
    })
    expectNoPageErrors(page)
  },
  LIMIT,
)

it(
  'what was changed by hand in Dify is listed as drift, and mended from there',
  async () => {
    await reached(await start(platforms.difyId, instances.memory), 'succeeded')
    const [workspace] = world.dify.workspaces
    const toolsThere = async () =>
      (await world.dify.side.providers(workspace?.id ?? '')).find(({ name }) => name === 'memory')?.tools.length
    const tools = await toolsThere()
    expect(tools).toBeGreaterThan(0)
    await forgetTools(workspace?.id ?? '', 'memory')
    expect(await toolsThere()).toBe(0)
    await check(platforms.difyId, instances.memory)

    const page = await world.signedIn({ path: '/drift' })
    const row = page.locator('tbody tr[data-row-key]')
    await row
      .filter({ hasText: 'memory' })
      .filter({ hasText: workspace?.name ?? '' })
      .waitFor()
    await expect.poll(() => row.count()).toBe(1)
    await row.getByText(t('common:fields.tools')).waitFor()
    await expectNoAxeViolations(page)
    await page.getByRole('button', { name: t('drift:mend'), exact: true }).click()
    const question = page.getByRole('dialog', { name: t('drift:mendQuestion', { count: 1 }) })
    await question.getByText(t('drift:mendMeaning')).waitFor()
    await question.getByRole('button', { name: t('drift:mend'), exact: true }).click()
    await page.waitForURL(/\/syncs\//)
    await page.getByText(t('sync-run:succeeded')).waitFor({ timeout: SLOW.timeout })
    expect(await toolsThere()).toBe(tools)
    await page.goto(`${world.product.origin}/drift`)
    await page.getByText(t('drift:empty.title')).waitFor()
    expect(await world.api.must(200, 'GET', '/bindings?drift=true')).toMatchObject({ items: [] })
    expectNoPageErrors(page)
  },
  LIMIT,
)

/** As when somebody's own script puts back an old row: the MCP tool is there, unauthorized and without its tools. */
async function forgetTools(workspaceId: string, name: string): Promise<void> {
  const { host, port, user, password, database } = world.dify.address
  const client = new pg.Client({ host, port, user, password, database })
  await client.connect()
  try {
    await client.query(
      `UPDATE tool_mcp_providers SET authed = false, tools = '[]' WHERE tenant_id = $1 AND name = $2`,
      [workspaceId, name],
    )
  } finally {
    await client.end()
  }
}
