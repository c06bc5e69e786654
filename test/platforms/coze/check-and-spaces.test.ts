import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type CheckedAddress, createEgressPolicy } from '../../../src/egress/policy.ts'
import { type CozeWorld, never, openCozeWorld } from './world.ts'

let world: CozeWorld
beforeEach(async () => {
  world = await openCozeWorld()
})
afterEach(async () => {
  await world.close()
})

describe('the address', () => {
  it('is judged by the egress policy at connect: a name that leads elsewhere by then gets no call and no cookie', async () => {
    const { simulator } = world
    const baseUrl = `http://localhost:${new URL(simulator.origin).port}`
    const answers: CheckedAddress[] = [{ address: '127.0.0.1', family: 4 }]
    const egress = createEgressPolicy({
      allow: [],
      deny: [],
      loopbackAllowed: true,
      ownPorts: new Set(),
      resolve: async () => [answers.shift() ?? { address: '169.254.169.254', family: 4 }],
    })
    await egress.checkUrlAddresses(baseUrl)
    const platform = world.open({ egress, settings: { baseUrl } })
    await expect(platform.listSpaces({ signal: never() })).rejects.toMatchObject({ type: 'InvalidDesiredState' })
    // Where the name really leads: whoever connected past the policy came here.
    expect(simulator.calls()).toEqual([])
  })
})

function team(enterpriseId: string) {
  return { accountType: 'team' as const, enterpriseId, userId: null, cookieUser: null }
}

describe('spaces', () => {
  it('are those in which the user is owner or administrator, with the role and the owner', async () => {
    const { simulator, account } = world
    const other = simulator.addAccount({ name: '李四' })
    const mine = simulator.addSpace({ ownerId: account.userId, name: 'mine' })
    const administered = simulator.addSpace({
      ownerId: other.userId,
      name: 'administered',
      members: { [account.userId]: 2 },
    })
    simulator.addSpace({ ownerId: other.userId, name: 'member', members: { [account.userId]: 3 } })
    simulator.addSpace({ ownerId: other.userId, name: 'foreign' })
    const spaces = await world.open().listSpaces({ signal: never() })
    expect(spaces.map(({ remoteId, role, ownerName }) => [remoteId, role, ownerName])).toEqual(
      expect.arrayContaining([
        [account.personalSpaceId, 'owner', '张三'],
        [mine, 'owner', '张三'],
        [administered, 'admin', '李四'],
      ]),
    )
    expect(spaces).toHaveLength(3)
  })

  it('of a team are those of all its organizations, on all pages, each once', async () => {
    const { simulator, account } = world
    const { enterpriseId } = simulator.addEnterprise({ name: '企业' })
    const organizations = Array.from({ length: 23 }, (_, index) =>
      simulator.addOrganization(enterpriseId, `组织${index}`),
    )
    simulator.joinEnterprise(account.userId, enterpriseId, organizations)
    const ids = organizations.map((organizationId, index) =>
      simulator.addSpace({ ownerId: account.userId, name: `space ${index}`, enterpriseId, organizationId }),
    )
    const spaces = await world.open({ settings: team(enterpriseId) }).listSpaces({ signal: never() })
    expect(spaces.map((space) => space.remoteId).sort()).toEqual([...ids].sort())
  })

  it('of a team are told although one of its organizations is not the user’s, unless none of them is', async () => {
    const { simulator, account } = world
    const { enterpriseId } = simulator.addEnterprise({ name: '企业' })
    const ours = simulator.addSpace({ ownerId: account.userId, name: '我们', enterpriseId })
    const theirs = simulator.addOrganization(enterpriseId, '他们')
    const refuse = (organizations: string[]) =>
      simulator.faults.add({
        endpoint: 'space/list',
        times: Number.POSITIVE_INFINITY,
        when: ({ body }) => organizations.includes((body as { organization_id?: string }).organization_id ?? ''),
        fault: { kind: 'business-error', code: 777074001, msg: '无权限' },
      })
    const platform = world.open({ settings: team(enterpriseId) })
    const refused = refuse([theirs])
    const spaces = await platform.listSpaces({ signal: never() })
    expect(spaces.map(({ remoteId }) => remoteId)).toEqual([ours])
    expect(refused.hits()).toBe(1)
    refuse(
      [...simulator.calls({ endpoint: 'space/list' })].map(
        ({ body }) => (body as { organization_id: string }).organization_id,
      ),
    )
    await expect(platform.listSpaces({ signal: never() })).rejects.toMatchObject({ type: 'Forbidden' })
  })
})

describe('a check', () => {
  it('says whose cookie it is, what it may administer, and until when', async () => {
    const found = await world.open().check({ signal: never(), gatewayUrl: 'https://gateway.example.com' })
    expect(found).toMatchObject({
      ok: true,
      error: null,
      spaces: 1,
      account: { id: world.account.userId, name: '张三' },
      credentialExpiresAt: new Date(world.clock.nowMs() + 60 * 24 * 3_600_000),
    })
    expect(found.findings.map(({ name, ok }) => [name, ok])).toEqual([
      ['login', true],
      ['account', true],
      ['spaces', true],
    ])
    expect(found.hints.join()).not.toMatch(/gateway|ends in/)
  })

  it('warns of an end that is near and of a gateway that COZE cannot call', async () => {
    const cookie = world.simulator.login(world.account.userId, { ttlS: 2 * 24 * 3600 })
    const found = await world
      .open({ cookie, settings: {} })
      .check({ signal: never(), gatewayUrl: 'http://10.0.0.5:8080' })
    expect(found.ok).toBe(true)
    expect(found.hints.join()).toMatch(/about 2 days/)
    expect(found.hints.join()).toMatch(/cannot call the gateway/)
  })

  it('names a team of which the user is no member, and those of which he is', async () => {
    const { simulator, account } = world
    const [ours, theirs] = [simulator.addEnterprise({ name: '我们' }), simulator.addEnterprise({ name: '他们' })]
    simulator.joinEnterprise(account.userId, ours.enterpriseId)
    const found = await world.open({ settings: team(theirs.enterpriseId) }).check({ signal: never() })
    expect(found).toMatchObject({
      ok: false,
      error: { type: 'Forbidden', field: 'enterpriseId', message: expect.stringContaining(ours.enterpriseId) },
    })
    expect(await world.open({ settings: team(ours.enterpriseId) }).check({ signal: never() })).toMatchObject({
      ok: true,
    })
  })

  it('names another person’s cookie', async () => {
    const found = await world.open({ settings: { userId: '1234' } }).check({ signal: never() })
    expect(found).toMatchObject({ ok: false, error: { field: 'userId' }, account: { id: world.account.userId } })
  })

  it('of a login that has ended says so, and throws nothing', async () => {
    world.simulator.loseSession({ cookie: world.account.cookie })
    expect(await world.open().check({ signal: never() })).toMatchObject({
      ok: false,
      error: { type: 'CredentialExpired', message: expect.stringMatching(/700012006.*log id/) },
      findings: [{ name: 'login', ok: false }],
    })
  })

  it('still works when COZE does not tell whose cookie it is', async () => {
    for (const endpoint of ['list_enterprises', '*']) {
      world.simulator.faults.add({
        endpoint,
        times: Number.POSITIVE_INFINITY,
        when: (call) => /list_enterprises|account\/info/.test(call.path),
        fault: { kind: 'business-error', code: 404, msg: 'gone' },
      })
    }
    expect(await world.open().check({ signal: never() })).toMatchObject({ ok: true, account: null, spaces: 1 })
  })
})

it('the cookie goes where it belongs and follows no redirect; answers that renew it change nothing', async () => {
  const platform = world.open()
  await platform.listSpaces({ signal: never() })
  await platform.listSpaces({ signal: never() })
  const cookies = new Set(world.simulator.calls().map((call) => call.headers.cookie))
  expect(cookies.size).toBe(1)
  world.simulator.faults.add({
    endpoint: 'space/list',
    fault: { kind: 'session-lost', shape: 'redirect', lasting: false },
  })
  const before = world.simulator.calls().length
  await expect(platform.listSpaces({ signal: never() })).rejects.toMatchObject({ type: 'CredentialExpired' })
  expect(world.simulator.calls()).toHaveLength(before + 1)
})

it('an answer that never comes is given up, and for a write looked for', async () => {
  const handle = world.simulator.faults.add({ endpoint: 'space/list', times: 3, fault: { kind: 'hold' } })
  const platform = world.open({ timeouts: { readMs: 50 } })
  await expect(platform.listSpaces({ signal: never() })).rejects.toMatchObject({ type: 'Timeout' })
  handle.release()
})
