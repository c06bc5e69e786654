import { setTimeout as sleep } from 'node:timers/promises'
import { lockTable } from '../support/fault-world.ts'
import type { RoleProcess } from '../support/role-process.ts'
import type { AdminWish, CozeTrouble, DifyTrouble, PlannedFault, PlannedRun } from './plan.ts'
import type { ChaosWorld } from './world.ts'

/** Runs that are open at once on one platform; a further one is not started. */
const MOST_OPEN_RUNS = 5

export type Striker = {
  /** Resolves when the fault has struck; what ends by itself goes on beside what follows. */
  strike(fault: PlannedFault): Promise<void>
  /** Nothing is away, cut or locked any more. Throws what went wrong beside the faults. */
  heal(): Promise<void>
  /** Of every token that was given by hand. */
  tokens: string[]
}

export function createStriker(world: ChaosWorld): Striker {
  const { cluster, dify, coze } = world
  const going = new Set<Promise<void>>()
  /** Which processes are away, so that each is started once. */
  const away = new Set<unknown>()
  const failures: unknown[] = []
  const tokens: string[] = []
  const pending: { remove(): void }[] = []
  let networkFaults: Promise<void> = Promise.resolve()
  let tokenCount = 0

  /** Goes on by itself; its failure is told at the end. */
  const beside = (work: Promise<void>) => {
    const tracked = work.catch((error) => void failures.push(error)).finally(() => going.delete(tracked))
    going.add(tracked)
  }

  /** Of those that are there now; waits for one to be there. */
  async function alive<T>(chosen: readonly T[]): Promise<T[]> {
    for (;;) {
      const there = chosen.filter((one) => !away.has(one))
      if (there.length > 0) return there
      await sleep(50)
    }
  }

  /** Kills them and sees to it that they come back. */
  async function kill(struck: readonly unknown[], strike: () => Promise<unknown>, comeBack: () => Promise<unknown>) {
    for (const one of struck) away.add(one)
    await strike()
    beside(
      comeBack().then(() => {
        for (const one of struck) away.delete(one)
      }),
    )
  }

  async function killRole(roles: RoleProcess[], fault: { which: number; both: boolean; awayMs: number }) {
    const chosen = fault.both ? roles : roles.filter((_, index) => index === fault.which % roles.length)
    const struck = await alive(chosen)
    await kill(
      struck,
      () => Promise.all(struck.map((role) => role.kill())),
      async () => {
        await sleep(fault.awayMs)
        // Up, not ready: that they are not while Temporal is away.
        await Promise.all(struck.map((role) => role.start({ ready: false }).then(role.untilUp)))
      },
    )
  }

  async function killTemporal(): Promise<void> {
    const { temporal } = cluster
    const struck = await alive([temporal])
    await kill(
      struck,
      async () => process.kill(temporal.server.pid(), 'SIGKILL'),
      async () => {
        // By hand: its supervisor waits longer after each crash.
        await temporal.down()
        await temporal.up()
      },
    )
  }

  async function troubleDify(trouble: DifyTrouble): Promise<void> {
    const { network } = dify
    if (trouble.what === 'cut') return network.cut()
    // Strikes with the next such statement, if there is one.
    if (trouble.what === 'cut-after') return void network.cutAfter(trouble.text)
    if (trouble.what === 'lock') {
      const unlock = await lockTable(dify, 'tool_mcp_providers', 'SHARE')
      return beside(sleep(trouble.forMs).then(unlock))
    }
    // The network has one state: one after the other.
    const before = networkFaults
    networkFaults = before.then(async () => {
      if (trouble.what === 'refuse') await network.refuse()
      else if (trouble.what === 'stall') network.stall()
      else network.stallNew()
      await sleep(trouble.forMs)
      await network.restore()
    })
    beside(networkFaults)
    await before
  }

  function troubleCoze({ endpoint, times, fault }: CozeTrouble): void {
    pending.push(coze.faults.add({ endpoint, times, fault }))
  }

  async function startRun(run: PlannedRun): Promise<void> {
    const platform = world.platforms[run.platform]
    const open = await cluster.store.query('SELECT id FROM Sync WHERE platformId = ? AND finishedAt IS NULL', [
      platform.id,
    ])
    if (open.length >= MOST_OPEN_RUNS) return
    const instanceIds = run.instances.map((index) => world.instanceIds[index] ?? '')
    const spaceIds = run.spaces.map((index) => platform.spaces[index]?.id ?? '')
    const cells = instanceIds.flatMap((instanceId) => spaceIds.map((spaceId) => ({ instanceId, spaceId })))
    const authorizations = run.newTokens ? cells.map((cell) => ({ ...cell, token: newToken() })) : []
    const { platform: _platform, instances: _instances, spaces: _spaces, newTokens: _newTokens, ...how } = run
    await world.admin.must('POST', '/syncs', {
      platformId: platform.id,
      instanceIds,
      spaceIds,
      ...(run.action === 'sync' ? { authorizations } : {}),
      ...how,
      acceptWarnings: true,
    })
  }

  /** Told apart by its first characters, which the store shows. */
  function newToken(): string {
    tokenCount += 1
    const token = `${crypto.randomUUID()}-chaos-${tokenCount}`
    tokens.push(token)
    return token
  }

  async function toggle(wish: AdminWish): Promise<void> {
    const { admin, wished } = world
    const spaceId = world.platforms[wish.platform].spaces[wish.space]?.id ?? ''
    if (wish.what === 'space') {
      const before = await admin.must<{ items: { id: string }[] }>('GET', `/bindings?spaceId=${spaceId}&limit=200`)
      await admin.must('POST', `/spaces/${spaceId}/${wish.enabled ? 'enable' : 'disable'}`, {})
      for (const { id } of before.items) wished.set(id, wish.enabled)
      return
    }
    const instanceId = world.instanceIds[wish.instance] ?? ''
    for (;;) {
      const found = await admin.must<{ items: { id: string; rowVersion: number }[] }>(
        'GET',
        `/bindings?spaceId=${spaceId}&instanceId=${instanceId}`,
      )
      const [binding] = found.items
      if (binding === undefined) return
      const patched = await admin.ask(
        'PATCH',
        `/bindings/${binding.id}`,
        { enabled: wish.enabled },
        { 'if-match': `"${binding.rowVersion}"` },
      )
      if (patched.status === 200) return void wished.set(binding.id, wish.enabled)
      // Somebody else's change came between: looked at again, as a person would.
      if (patched.status !== 409 && patched.status !== 412) throw new Error(`PATCH: ${patched.status} ${patched.text}`)
    }
  }

  return {
    tokens,
    async strike(fault) {
      if (failures.length > 0) throw failures[0]
      switch (fault.kind) {
        case 'worker-killed':
          return await killRole(cluster.workers, fault)
        case 'api-killed':
          return await killRole(cluster.apis, fault)
        case 'gateway-killed':
          return await killRole(cluster.gateways, fault)
        case 'temporal-killed':
          return await killTemporal()
        case 'dify-fault':
          return await troubleDify(fault.trouble)
        case 'coze-fault':
          return troubleCoze(fault.trouble)
        case 'concurrent-syncs':
          return void (await Promise.all(fault.runs.map(startRun)))
        case 'admin-toggles':
          for (const wish of fault.wishes) await toggle(wish)
      }
    },
    async heal() {
      for (const fault of pending) fault.remove()
      while (going.size > 0 && failures.length === 0) await Promise.race(going)
      if (failures.length > 0) throw failures[0]
      await dify.network.restore()
      dify.network.forgetCuts()
      await Promise.all([...cluster.workers, ...cluster.apis, ...cluster.gateways].map((role) => role.untilReady()))
    },
  }
}
