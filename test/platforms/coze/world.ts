import { createSteeredClock, type SteeredClock } from '../../../demo/coze-simulator/clock.ts'
import type { CozeSimulatorOptions } from '../../../demo/coze-simulator/options.ts'
import { startCozeSimulator } from '../../../demo/coze-simulator/simulator.ts'
import type { CozeAccount, CozeSimulator } from '../../../demo/coze-simulator/simulator-types.ts'
import type { Clock } from '../../../src/domain/clock.ts'
import type { McpTool } from '../../../src/domain/tool.ts'
import { createEgressPolicy, type EgressPolicy } from '../../../src/egress/policy.ts'
import type { CozeBudget } from '../../../src/platforms/coze/budget.ts'
import type { CozeTimeouts } from '../../../src/platforms/coze/client.ts'
import { type CozeSettings, createCozePlatform } from '../../../src/platforms/coze/coze-platform.ts'
import type { DesiredObject, Platform } from '../../../src/platforms/platform.ts'
import { type ScriptedServer, startScriptedServer } from '../../support/scripted-mcp-server.ts'

/** The public name of the gateway, as COZE's cloud calls it. */
export const GATEWAY = 'https://gateway.example.com'

export const TOOLS = [
  { name: 'forecast', description: 'Tells the weather', inputSchema: { type: 'object' } },
  { name: 'history', description: 'Told the weather', inputSchema: { type: 'object' } },
]

export type CozeWorld = {
  simulator: CozeSimulator
  account: CozeAccount
  clock: SteeredClock
  /** What COZE's cloud reads tools from; answers at every path. */
  mcp: ScriptedServer
  /** From now on the MCP server offers these. */
  offer(tools: readonly McpTool[]): void
  settings: CozeSettings
  open(options?: Opening): Platform
  close(): Promise<void>
}

type Opening = {
  cookie?: string
  settings?: Partial<CozeSettings>
  budget?: CozeBudget
  timeouts?: Partial<CozeTimeouts>
  egress?: EgressPolicy
}

/** A coze.cn with one account, its clock steered by whoever sleeps, and an MCP server behind the gateway's public name. */
export async function openCozeWorld(options: Partial<CozeSimulatorOptions> = {}): Promise<CozeWorld> {
  const clock = createSteeredClock()
  let offered: readonly McpTool[] = TOOLS
  const mcp = await startScriptedServer({ page: () => ({ tools: [...offered] }) })
  const simulator = await startCozeSimulator({
    clock,
    adminPort: null,
    routes: { [GATEWAY]: new URL(mcp.url).origin },
    ...options,
  })
  const account = simulator.addAccount({ name: '张三' })
  const egress = createEgressPolicy({ allow: [], deny: [], loopbackAllowed: true, ownPorts: new Set() })
  const settings: CozeSettings = {
    baseUrl: simulator.origin,
    accountType: 'personal',
    enterpriseId: null,
    userId: null,
    cookieUser: { id: account.userId, name: account.name },
  }
  const opened: Platform[] = []
  return {
    simulator,
    account,
    clock,
    mcp,
    offer: (tools) => {
      offered = tools
    },
    settings,
    open(over = {}) {
      const platform = createCozePlatform({
        settings: { ...settings, ...over.settings },
        cookie: over.cookie ?? account.cookie,
        egress: over.egress ?? egress,
        budget: over.budget ?? unlimited,
        clock: virtual(clock),
        ...(over.timeouts === undefined ? {} : { timeouts: over.timeouts }),
      })
      opened.push(platform)
      return platform
    },
    async close() {
      await Promise.all(opened.map((platform) => platform.close()))
      await simulator.stop()
      await mcp.stop()
    },
  }
}

/** Whoever sleeps moves the simulator's time on: nobody waits for real. */
export function virtual(clock: SteeredClock): Clock {
  return {
    now: () => clock.nowMs(),
    sleep: async (durationMs, signal) => {
      signal?.throwIfAborted()
      clock.advance(durationMs)
    },
  }
}

export const unlimited: CozeBudget = { take: async () => async () => {}, holdUntil: async () => {} }

export function instanceId(number: number): string {
  return `0197b3a0-0000-7000-8000-${String(number).padStart(12, '0')}`
}

export function gatewayUrl(instance: string): string {
  return `${GATEWAY}/mcp-gateway/${instance}/mcp`
}

export function desiredObject(change: Partial<DesiredObject> = {}): DesiredObject {
  const instance = change.instanceId ?? instanceId(1)
  return {
    bindingId: `binding-${instance}`,
    instanceId: instance,
    name: '天气',
    description: 'Weather for everybody',
    url: gatewayUrl(instance),
    transport: 'streamable-http',
    authorization: 'Bearer tfg_first0000000000000000000000000000000000',
    tools: TOOLS,
    ...change,
  }
}

export function never(): AbortSignal {
  return new AbortController().signal
}
