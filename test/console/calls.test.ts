import type { Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { expectNoAxeViolations, expectNoPageErrors, screenshot } from './browser.ts'
import { type ConsoleWorld, registerInstances, registerPlatforms, startConsole } from './world.ts'

/** What the console shows of the calls that platforms make, and of the run that let them. */

const LIMIT = 240_000

type Binding = {
  id: string
  space: { name: string; remoteId: string }
  token: { lastUsedAt: string | null } | null
}

let world: ConsoleWorld
let instanceId: string
let gatewayUrl: string
let syncId: string
let first: Binding
let second: Binding
beforeAll(async () => {
  world = await startConsole()
  const { difyId } = await registerPlatforms(world)
  instanceId = (await registerInstances(world)).memory ?? ''
  gatewayUrl = (await world.api.must<{ gatewayUrl: string }>(200, 'GET', `/instances/${instanceId}`)).gatewayUrl
  await world.api.must(200, 'GET', `/platforms/${difyId}/spaces?refresh=true`)
  const started = await world.api.must<{ id: string }>(202, 'POST', '/syncs', {
    platformId: difyId,
    instanceIds: [instanceId],
    spaceIds: 'all',
    acceptWarnings: true,
  })
  syncId = started.id
  await vi.waitFor(
    async () =>
      expect(await world.api.must<object>(200, 'GET', `/syncs/${syncId}`)).toMatchObject({ state: 'succeeded' }),
    { timeout: 90_000, interval: 500 },
  )
  const [one, other] = await bindings()
  if (one === undefined || other === undefined) throw new Error('Two spaces are wanted.')
  first = one
  second = other
})
afterAll(() => world.stop())

async function bindings(): Promise<Binding[]> {
  return (await world.api.must<{ items: Binding[] }>(200, 'GET', `/bindings?instanceId=${instanceId}`)).items
}

/** One call from that space, as Dify makes it: from the row in its database alone. */
async function callAsDify({ space }: Binding): Promise<void> {
  const { side } = world.dify
  const provider = (await side.providers(space.remoteId)).find(({ name }) => name === 'memory')
  const session = await side.connect(space.remoteId, provider?.id ?? '')
  await session.callTool('read_graph', {})
  await session.close()
}

/** The HTTP status of a first call with this Authorization header. */
async function statusOf(url: string, authorization: string): Promise<number> {
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      authorization,
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
    },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'initialize',
      params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
    }),
  })
  await response.body?.cancel()
  return response.status
}

const nameOf = ({ space }: Binding) => `memory · ${space.name}`
const calls = (page: Page, { space }: Binding) =>
  page.getByRole('row').filter({ hasText: 'read_graph' }).filter({ hasText: space.name })

it(
  'the gateway log follows the calls without a reload while it is live, of one space if one is chosen',
  async () => {
    const page = await world.signedIn({ path: '/gateway-log' })
    await page.evaluate('window.wasHere = true')
    await callAsDify(second)
    await calls(page, second).waitFor()
    expect(await calls(page, first).count()).toBe(0)

    await page.getByRole('combobox', { name: 'Space · MCP server' }).click()
    await page.getByTitle(`${first.space.name} · memory`, { exact: true }).click()
    await expect.poll(() => new URL(page.url()).searchParams.get('binding')).toBe(first.id)
    await expect.poll(() => calls(page, second).count()).toBe(0)
    await callAsDify(second)
    await callAsDify(first)
    await calls(page, first).waitFor()
    expect(await calls(page, second).count()).toBe(0)
    await screenshot(page, 'log-one-space-en')
    await expectNoAxeViolations(page)

    await page.getByRole('switch', { name: 'Live' }).uncheck()
    await callAsDify(first)
    const recorded = `/gateway/logs?bindingId=${first.id}&tool=read_graph`
    await expect
      .poll(async () => (await world.api.must<{ items: unknown[] }>(200, 'GET', recorded)).items.length)
      .toBe(2)
    expect(await calls(page, first).count()).toBe(1)
    await page.getByRole('switch', { name: 'Live' }).check()
    await expect.poll(() => calls(page, first).count()).toBe(2)
    expect(await page.evaluate('window.wasHere')).toBe(true)
    expectNoPageErrors(page)
  },
  LIMIT,
)

it(
  'an authorization says when it was last used, leads to its calls, and its revealed token is the one that works',
  async () => {
    const unused = (await bindings()).find(({ id }) => id !== first.id && id !== second.id)
    const called = new Date().toISOString()
    await callAsDify(first)
    const usedAt = async () => (await bindings()).find(({ id }) => id === first.id)?.token?.lastUsedAt ?? ''
    await expect.poll(async () => (await usedAt()) >= called).toBe(true)
    const page = await world.signedIn({ path: `/instances/${instanceId}/access` })
    const row = (binding: Binding | undefined) =>
      page.getByRole('row').filter({ hasText: binding?.space.name ?? 'no such space' })
    await row(first).waitFor()
    const titles = await page.getByRole('columnheader').allInnerTexts()
    const lastUsed = (binding: Binding | undefined) => row(binding).getByRole('cell').nth(titles.indexOf('Last used'))
    const shown = async (binding: Binding | undefined) =>
      (await lastUsed(binding).locator('time').getAttribute('datetime')) ?? ''
    expect((await shown(first)) >= called).toBe(true)
    // That one's token was proven by the run, and sent by nobody since.
    expect((await shown(unused)) < called).toBe(true)

    await page.getByRole('button', { name: `Reveal the token of ${nameOf(first)}` }).click()
    const revealed = page.getByRole('dialog', { name: `Authorization of ${nameOf(first)}` }).getByText(/^Bearer /)
    const authorization = await revealed.innerText()
    expect(await statusOf(gatewayUrl, authorization)).toBe(200)
    expect(await statusOf(gatewayUrl, `${authorization.slice(0, -4)}0000`)).toBe(401)
    await page.keyboard.press('Escape')
    await revealed.waitFor({ state: 'hidden' })

    await page.getByRole('button', { name: 'Configuration for a client of your own' }).click()
    const text = await page.locator('pre').innerText()
    expect(text).not.toContain(authorization)
    const { mcpServers } = JSON.parse(text) as {
      mcpServers: Record<string, { url: string; headers: { Authorization: string } }>
    }
    expect(Object.keys(mcpServers)).toEqual(['memory'])
    expect(mcpServers.memory?.url).toBe(gatewayUrl)
    expect(await statusOf(mcpServers.memory?.url ?? '', mcpServers.memory?.headers.Authorization ?? '')).toBe(401)
    await screenshot(page, 'client-config-en')
    await expectNoAxeViolations(page)

    await page.getByRole('button', { name: `More for ${nameOf(first)}` }).click()
    await page.getByRole('menuitem', { name: 'Calls in the gateway log' }).click()
    await calls(page, first).first().waitFor()
    expect(page.url()).toBe(`${world.product.origin}/gateway-log?binding=${first.id}`)
    expectNoPageErrors(page)
  },
  LIMIT,
)

it(
  'a run leads to its own history in Temporal',
  async () => {
    const { workflowId } = await world.api.must<{ workflowId: string }>(200, 'GET', `/syncs/${syncId}`)
    const page = await world.signedIn({ path: `/syncs/${syncId}` })
    const link = page.getByRole('link', { name: 'Open in the Temporal Web UI' })
    const address = new URL((await link.getAttribute('href')) ?? '')
    expect(address.pathname).toMatch(new RegExp(`^/namespaces/[^/]+/workflows/${workflowId}/[0-9a-f-]{36}/history$`))
    const answer = await fetch(address)
    await answer.body?.cancel()
    expect(answer.status).toBe(200)
    expectNoPageErrors(page)
  },
  LIMIT,
)
