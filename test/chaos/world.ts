import { startCozeSimulator } from '../../demo/coze-simulator/simulator.ts'
import type { CozeAccount, CozeSimulator } from '../../demo/coze-simulator/simulator-types.ts'
import { type Cluster, startCluster } from '../support/cluster.ts'
import { type FaultWorld, startFaultWorld } from '../support/fault-world.ts'
import { type Admin, createAdmin } from './admin.ts'
import type { Size } from './plan.ts'

/** Two of each role on MariaDB and a real Temporal server, a Dify on PostgreSQL behind a faulty network, and a COZE. */
export type ChaosWorld = {
  cluster: Cluster
  admin: Admin
  dify: FaultWorld
  coze: CozeSimulator
  cozeAccount: CozeAccount
  platforms: Record<'dify' | 'coze', { id: string; spaces: { id: string; remoteId: string }[] }>
  instanceIds: string[]
  /** What the admin last wished and was told is done, by `<instanceId> <spaceId>`; absent = nothing: enabled. */
  wished: Map<string, boolean>
  stop(): Promise<void>
}

export async function startChaosWorld(size: Size): Promise<ChaosWorld> {
  // Without a grace period a replaced token ends with its run, so that none may be left over at the end.
  const cluster = await startCluster({
    env: { TOOLFERRY_WORKER_TIMEOUT_SECONDS: '3', TOOLFERRY_TOKEN_GRACE_SECONDS: '0' },
  })
  const closers: (() => Promise<void>)[] = [() => cluster.stop()]
  const stop = async () => {
    for (const close of closers.toReversed()) await close()
  }
  try {
    const dify = await startFaultWorld(cluster, {
      name: 'Chaos',
      instances: size.instances,
      workspaces: size.workspaces,
    })
    // The cluster goes first: what it holds open in Dify's database would keep that from being dropped.
    closers.unshift(() => dify.stop())
    const coze = await startCozeSimulator({ adminPort: null, allowInsecureOrigins: [cluster.origin] })
    closers.unshift(() => coze.stop())
    const account = coze.addAccount({ name: '张三' })
    const remoteIds = Array.from({ length: size.cozeSpaces }, (_, index) =>
      coze.addSpace({ ownerId: account.userId, name: `空间 ${index + 1}` }),
    )
    const admin = createAdmin(cluster)
    const platform = await admin.must<{ id: string }>('POST', '/platforms', {
      kind: 'coze',
      name: 'Chaos COZE',
      baseUrl: coze.origin,
      accountType: 'personal',
      cookie: account.cookie,
    })
    const spacesOf = async (id: string) =>
      (await admin.must<{ items: { id: string; remoteId: string }[] }>('GET', `/platforms/${id}/spaces?limit=200`))
        .items
    const cozeSpaces = (await spacesOf(platform.id)).filter(({ remoteId }) => remoteIds.includes(remoteId))
    const difySpaces = await spacesOf(dify.platformId)
    return {
      cluster,
      admin,
      dify,
      coze,
      cozeAccount: account,
      platforms: {
        dify: { id: dify.platformId, spaces: difySpaces },
        coze: { id: platform.id, spaces: cozeSpaces },
      },
      instanceIds: dify.instanceIds,
      wished: new Map(),
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}
