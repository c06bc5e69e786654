import type { Agent } from 'undici'
import { ToolferryError, toToolferryError } from '../src/domain/errors.ts'
import { createEgressAgent } from '../src/egress/connector.ts'
import { handshake } from '../src/mcp/handshake.ts'
import { shortHandshake } from '../src/mcp/short-handshake.ts'
import { gatewayPath } from '../src/platforms/desired.ts'
import { enterPhase } from '../src/store/syncs.ts'
import { rotateTokensFor } from '../src/store/token-rotation.ts'
import { markTokensProven, mintTokensFor } from '../src/store/tokens.ts'
import type { SpaceOutcome } from '../workflows/messages.ts'
import type { ActivityDeps } from './deps.ts'
import { inActivity } from './in-activity.ts'
import { outcomeOfSpace } from './outcome.ts'
import { legacyRevisions, noteRevision } from './protocol-revisions.ts'
import {
  isRemoval,
  isRotationDue,
  loadSpaceWork,
  plannedCells,
  rightOf,
  type SpaceCell,
  type SpaceWork,
} from './space-work.ts'
import { type Walk, walkTargets } from './walk-targets.ts'

/** Handshakes at the same time in one space. */
const PROOFS_AT_ONCE = 8
/** How long one MCP server's Retry-After is heeded: what its space has proven waits to be written meanwhile. */
const LONGEST_WISH_MS = 60_000

/**
 * A token for every binding that lacks one, a second one where this run rotates; each new one, minted or given by the admin, is
 * proven by a real MCP handshake through the gateway before any platform is written. A proven token is kept and not tried again.
 */
export async function mintTokens(
  deps: ActivityDeps,
  input: { syncId: string; spaceId: string },
): Promise<SpaceOutcome> {
  return await inActivity(deps.logger, input, async (signal) => {
    const { store } = deps
    const work = await loadSpaceWork(deps, input)
    await enterPhase(store, work.sync, 'mint')
    const isNew = (cell: SpaceCell) => cell.token?.proven !== true || isRotationDue(work, cell)
    const written = plannedCells(work).filter((cell) => !isRemoval(work, cell))
    const cells = written.filter((cell) => cell.binding !== null && isNew(cell))
    const minted = new Map([...(await mintMissing(deps, cells)), ...(await mintSecond(deps, work, cells))])
    const proven: string[] = []
    try {
      // It is one MCP server that asks to slow down: the others' tokens have their turn. A gateway that stays away is said soon.
      const walk: Walk = {
        work,
        cells,
        signal,
        attempts: 'failures',
        width: PROOFS_AT_ONCE,
        ofOneTarget: ['RateLimited', 'GatewayUnreachable'],
      }
      const interrupted = await withProver(deps, signal, (prove) =>
        walkTargets(deps, walk, async (cell) => {
          // Cut off since the plan: the write skips it, and no token is made or proven for it.
          const token = minted.get(cell.key) ?? cell.token
          if (token === null || rightOf(cell) !== 'granted') return
          await prove(cell, token.value)
          proven.push(token.id)
        }),
      )
      await markTokensProven(store, proven.splice(0))
      return await outcomeOfSpace(store, input, interrupted)
    } finally {
      await markTokensProven(store, proven)
    }
  })
}

/** By cell. Both tokens are good from now on; the platform goes on with the former one until the new one is written. */
async function mintSecond(
  deps: ActivityDeps,
  work: SpaceWork,
  cells: readonly SpaceCell[],
): Promise<Map<string, { id: string; value: string }>> {
  const due = cells.filter((cell) => isRotationDue(work, cell) && rightOf(cell) === 'granted')
  const { before, graceSeconds } = work.sync.selection.rotate ?? {}
  const second = await rotateTokensFor(
    deps.store,
    due.flatMap(({ binding, token }) =>
      binding === null || token === null ? [] : [{ bindingId: binding.id, tokenId: token.id }],
    ),
    // Not older than the line, whatever this machine's clock says: a second attempt must not find it due once more.
    { graceSeconds: graceSeconds ?? null, notBefore: new Date(before ?? 0) },
  )
  return new Map([...second].map(([bindingId, token]) => [bindingId, { id: token.id, value: token.secret }]))
}

/** By cell. In one transaction, so that the gateways have one change to follow and not one a token. */
async function mintMissing(
  deps: ActivityDeps,
  cells: readonly SpaceCell[],
): Promise<Map<string, { id: string; value: string }>> {
  const lacking = cells.filter((cell) => cell.token === null && rightOf(cell) === 'granted')
  const minted = await mintTokensFor(
    deps.store,
    lacking.flatMap((cell) => (cell.binding === null ? [] : [cell.binding.id])),
  )
  return new Map([...minted].map(([bindingId, token]) => [bindingId, { id: token.id, value: token.secret }]))
}

type Prove = (cell: SpaceCell, token: string) => Promise<void>

/**
 * Proves tokens over a few shared connections. A server that shook hands the old way before is asked the same way again, without
 * an SDK client around it; what that cannot do, and why, the SDK's client finds out.
 */
async function withProver<T>(deps: ActivityDeps, signal: AbortSignal, work: (prove: Prove) => Promise<T>): Promise<T> {
  const origin = deps.gatewayUrl()
  const egress = deps.egress.forOwnGateway(origin)
  const legacy = legacyRevisions(deps)
  const agent = createEgressAgent(egress)
  const timeoutMs = deps.limits.mcpTimeoutMs
  const prove: Prove = async ({ instance }, token) => {
    const { id, name, transport } = instance
    const target = {
      url: `${origin}${gatewayPath(id, transport)}`,
      headers: { Authorization: `Bearer ${token}` },
      ...{ egress, agent, signal, timeoutMs },
    }
    const known = transport === 'streamable-http' ? legacy.get(id) : undefined
    if (known !== undefined && (await shortHandshake({ ...target, protocolVersion: known }))) return
    try {
      const { protocolVersion } = await handshake({ ...target, transport })
      noteRevision(deps, id, protocolVersion)
    } catch (thrown) {
      signal.throwIfAborted()
      const error = toToolferryError(thrown)
      // Through the gateway nobody can tell from the failure alone which of the two is away.
      const inDoubt = error.type === 'UpstreamUnreachable' || error.type === 'Timeout'
      if (inDoubt && !(await gatewayAnswers(agent, origin, { signal, timeoutMs }))) throw gatewayAway(error)
      throw asProofFailure(error, name)
    }
  }
  try {
    return await work(prove)
  } finally {
    await agent.destroy()
  }
}

/** What a proxy says of a gateway behind it that is away. */
const AWAY = [502, 503, 504]

/** Whether the gateway itself is there, whatever it says. */
async function gatewayAnswers(
  agent: Agent,
  origin: string,
  { signal, timeoutMs }: { signal: AbortSignal; timeoutMs: number },
): Promise<boolean> {
  try {
    const { statusCode, body } = await agent.request({
      origin,
      path: '/healthz',
      method: 'GET',
      signal,
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
    })
    await body.dump()
    return !AWAY.includes(statusCode)
  } catch {
    signal.throwIfAborted()
    return false
  }
}

function gatewayAway(cause: ToolferryError): ToolferryError {
  return new ToolferryError('GatewayUnreachable', 'The gateway did not answer: no token could be proven.', { cause })
}

/** The server answered us directly a moment ago (discoverTools), so a refusal here is the gateway's. */
function asProofFailure(error: ToolferryError, instanceName: string): ToolferryError {
  const message = `The token for «${instanceName}» could not be proven through the gateway. ${error.message}`
  const type = error.type === 'UpstreamUnauthorized' ? 'UpstreamUnreachable' : error.type
  const { retryAfterMs } = error
  return new ToolferryError(type, message, {
    cause: error,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs: Math.min(retryAfterMs, LONGEST_WISH_MS) }),
  })
}
