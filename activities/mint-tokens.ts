import { ToolferryError, toToolferryError } from '../src/domain/errors.ts'
import { handshake } from '../src/mcp/handshake.ts'
import { updateSync } from '../src/store/syncs.ts'
import { markTokensProven, mintTokenFor } from '../src/store/tokens.ts'
import type { SpaceOutcome } from '../workflows/messages.ts'
import type { ActivityDeps } from './deps.ts'
import { gatewayPath } from './desired.ts'
import { inActivity } from './in-activity.ts'
import { outcomeOfSpace } from './outcome.ts'
import { loadSpaceWork, plannedCells, rightOf, type SpaceCell } from './space-work.ts'
import { walkTargets } from './walk-targets.ts'

/**
 * A token for every binding that lacks one; each new one, minted or given by the admin, is proven by a real MCP handshake
 * through the gateway before any platform is written. A proven token is kept and not tried again.
 */
export async function mintTokens(
  deps: ActivityDeps,
  input: { syncId: string; spaceId: string },
): Promise<SpaceOutcome> {
  return await inActivity(deps.logger, input, async (signal) => {
    const work = await loadSpaceWork(deps, input)
    await updateSync(deps.store, input.syncId, { phase: 'mint' })
    const cells = plannedCells(work).filter((cell) => cell.binding !== null && cell.token?.proven !== true)
    const interrupted = await walkTargets(deps, { work, cells, signal, attempts: 'failures' }, async (cell) => {
      // Cut off since the plan: the write skips it, and no token is made for it.
      if (cell.binding === null || rightOf(cell) !== 'granted') return
      const token = cell.token ?? (await mint(deps, cell.binding))
      await prove(deps, cell, token.value, signal)
      await markTokensProven(deps.store, [token.id])
    })
    return await outcomeOfSpace(deps.store, input, interrupted)
  })
}

async function mint(deps: ActivityDeps, binding: { id: string }): Promise<{ id: string; value: string }> {
  const minted = await mintTokenFor(deps.store, binding.id)
  return { id: minted.id, value: minted.secret }
}

async function prove(deps: ActivityDeps, cell: SpaceCell, token: string, signal: AbortSignal): Promise<void> {
  const origin = deps.gatewayUrl()
  try {
    await handshake({
      url: `${origin}${gatewayPath(cell.instance.id, cell.instance.transport)}`,
      transport: cell.instance.transport,
      headers: { Authorization: `Bearer ${token}` },
      egress: deps.egress.forOwnGateway(origin),
      signal,
      timeoutMs: deps.limits.mcpTimeoutMs,
    })
  } catch (thrown) {
    signal.throwIfAborted()
    throw asProofFailure(toToolferryError(thrown), cell.instance.name)
  }
}

/** The server answered us directly a moment ago (discoverTools), so a refusal here is the gateway's. */
function asProofFailure(error: ToolferryError, instanceName: string): ToolferryError {
  const message = `The token for «${instanceName}» could not be proven through the gateway. ${error.message}`
  const type = error.type === 'UpstreamUnauthorized' ? 'GatewayUnreachable' : error.type
  return new ToolferryError(type, message, { cause: error })
}
