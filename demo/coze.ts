import { startCozeSimulator } from './coze-simulator/simulator.ts'
import type { CozeAccount, CozeSimulator } from './coze-simulator/simulator-types.ts'

/** A COZE enterprise on loopback, with a signed-in user who may write to two of its three spaces. */
export type DemoCoze = {
  simulator: CozeSimulator
  enterpriseId: string
  user: CozeAccount
  /** Remote ids of the spaces where the user is Owner or Administrator. */
  writable: string[]
  /** Where he is a member only: never offered. */
  memberOnly: { remoteId: string; name: string }
}

/** What COZE calls the gateway: it takes https and a name only (coze.md §7). The simulator routes it to the product. */
export const COZE_GATEWAY_URL = 'https://gateway.demo.test'

export async function startDemoCoze(): Promise<DemoCoze> {
  const simulator = await startCozeSimulator()
  const user = simulator.addAccount({ name: '陈晨' })
  const other = simulator.addAccount({ name: '王磊' })
  const { enterpriseId } = simulator.addEnterprise({ name: '示例企业' })
  const memberSpace = '财务 Finance'
  const own = simulator.addSpace({ name: '研发 R&D', ownerId: user.userId, enterpriseId })
  const administered = simulator.addSpace({
    name: '市场 Marketing',
    ownerId: other.userId,
    enterpriseId,
    members: { [user.userId]: 2 },
  })
  const remoteId = simulator.addSpace({
    name: memberSpace,
    ownerId: other.userId,
    enterpriseId,
    members: { [user.userId]: 3 },
  })
  simulator.addForeignPlugin({ spaceId: administered, name: '日历', url: 'https://calendar.example.com' })
  return {
    simulator,
    enterpriseId,
    user,
    writable: [own, administered],
    memberOnly: { remoteId, name: memberSpace },
  }
}
