import { randomUUID } from 'node:crypto'
import { z } from '@hono/zod-openapi'
import { request } from 'undici'
import { ToolferryError } from '../domain/errors.ts'
import { createEgressAgent } from '../egress/connector.ts'
import type { EgressPolicy } from '../egress/policy.ts'
import { isRefusal } from '../gateway/refusal.ts'
import { checkedGatewayUrl, textRulesFor } from '../platforms/coze/normalise.ts'
import type { Api } from './context.ts'
import type { ApiDeps } from './deps.ts'
import { defineRoute, json } from './route.ts'

/** Whether our gateway answers at the address that platforms are told. Hints: a platform may see another network than we do. */

const TIMEOUT_MS = 5_000
/** Our refusals are some hundred bytes. */
const MAX_ANSWER_BYTES = 16 * 1024
/** COZE as most know it: its rule for one that runs on this machine is another. */
const COZE_ORIGIN = 'https://www.coze.cn'

const VERDICTS = ['ours', 'other', 'unreachable'] as const

/** `detail`: why not; it quotes nothing of what was answered. */
export type GatewayAnswer = { verdict: (typeof VERDICTS)[number]; detail: string | null }

const gatewayCheckRoute = defineRoute('viewer', {
  method: 'get',
  path: '/api/v1/settings/gateway-check',
  operationId: 'checkGateway',
  tags: ['observe'],
  summary: 'Whether our gateway answers at the address that platforms call, as seen from this process',
  responses: {
    200: json(
      z
        .object({
          url: z.string(),
          verdict: z.enum(VERDICTS).openapi({
            description: 'ours: the gateway answers. other: something else does. unreachable: nothing does, from here.',
          }),
          detail: z.string().nullable(),
          coze: z
            .object({ ok: z.boolean(), detail: z.string().nullable() })
            .openapi({ description: 'Whether COZE takes such an address. Its cloud must reach it, too.' }),
        })
        .openapi('GatewayCheck'),
      'What was found',
    ),
  },
})

export function registerGatewayCheck(app: Api, deps: ApiDeps): void {
  app.openapi(gatewayCheckRoute, async (c) => {
    const url = deps.facts.publicUrl
    const answer = await askGateway(url, { egress: deps.egress, signal: c.req.raw.signal })
    const refused = whyCozeRefuses(url)
    return c.json({ url, ...answer, coze: { ok: refused === null, detail: refused } }, 200)
  })
}

/** Calls an MCP server that nobody has, without a token: our gateway refuses that in its own words. Follows no redirect. */
export async function askGateway(
  url: string,
  options: { egress: EgressPolicy; signal: AbortSignal; timeoutMs?: number },
): Promise<GatewayAnswer> {
  const { signal, timeoutMs = TIMEOUT_MS } = options
  const time = AbortSignal.timeout(timeoutMs)
  try {
    const egress = options.egress.forOwnGateway(url)
    const agent = createEgressAgent(egress, { connect: { timeout: timeoutMs } })
    try {
      const response = await request(egress.checkUrl(`${url}/mcp-gateway/${randomUUID()}/mcp`, 'gatewayUrl'), {
        dispatcher: agent,
        signal: AbortSignal.any([signal, time]),
        headers: { accept: 'application/json', 'user-agent': 'Toolferry' },
      })
      return judgeGatewayAnswer(response.statusCode, await readAnswer(response.body))
    } finally {
      await agent.destroy()
    }
  } catch (thrown) {
    signal.throwIfAborted()
    if (time.aborted) return unreachable(`There was no answer within ${timeoutMs / 1000} s.`)
    return unreachable(gatewayFailure(thrown))
  }
}

/** Who answered. */
export function judgeGatewayAnswer(status: number, answer: string): GatewayAnswer {
  if (isRefusal(answer)) return { verdict: 'ours', detail: null }
  return { verdict: 'other', detail: describe(status) }
}

function describe(status: number): string {
  if (status >= 300 && status < 400) return `A redirect answers there (HTTP ${status}), and none is followed.`
  if (status >= 502 && status <= 504) return `A proxy answers there that does not reach the gateway (HTTP ${status}).`
  return `Something else than the gateway answers there (HTTP ${status}).`
}

function unreachable(detail: string): GatewayAnswer {
  return { verdict: 'unreachable', detail }
}

/** Why nobody answered. */
export function gatewayFailure(thrown: unknown): string {
  const chain = thrown instanceof Error ? [thrown, thrown.cause] : [thrown]
  const refusal = chain.find((error) => error instanceof ToolferryError)
  if (refusal instanceof ToolferryError) return refusal.message
  const codes = chain.map((error) => (error instanceof Error && 'code' in error ? error.code : null))
  const code = codes.find((each) => typeof each === 'string' && /^[A-Z][A-Z0-9_]{1,40}$/.test(each))
  return `The connection failed (${code ?? 'no connection'}).`
}

/** Null: COZE takes it as a plugin's address (coze.md §7.2). */
export function whyCozeRefuses(url: string): string | null {
  try {
    checkedGatewayUrl(url, textRulesFor(COZE_ORIGIN))
    return null
  } catch (error) {
    if (error instanceof ToolferryError) return error.message
    throw error
  }
}

async function readAnswer(body: AsyncIterable<Buffer>): Promise<string> {
  const parts: Buffer[] = []
  let bytes = 0
  // Leaving the loop early ends the connection.
  for await (const part of body) {
    bytes += part.length
    if (bytes > MAX_ANSWER_BYTES) return ''
    parts.push(part)
  }
  return Buffer.concat(parts).toString('utf8')
}
