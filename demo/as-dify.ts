import type { Instance, Space } from './api-types.ts'
import type { DifyProvider, DifySide } from './dify/dify-side.ts'
import { CallRefused } from './dify/mcp-call.ts'
import type { Expectations } from './expectations.ts'

type Call = { tool: string; args: Record<string, unknown>; holds: string }

/** The tools that the demo calls, with what each answer must hold. */
const CALLS: Record<string, (workspace: string) => Call[]> = {
  everything: (workspace) => [
    { tool: 'echo', args: { message: `ferried to ${workspace}` }, holds: `ferried to ${workspace}` },
    { tool: 'get-sum', args: { a: 19, b: 23 }, holds: '42' },
  ],
  'everything-sse': (workspace) => [
    { tool: 'echo', args: { message: `over SSE to ${workspace}` }, holds: `over SSE to ${workspace}` },
  ],
  memory: (workspace) => [
    {
      tool: 'create_entities',
      args: { entities: [{ name: workspace, entityType: 'workspace', observations: [`tools came to ${workspace}`] }] },
      holds: workspace,
    },
    { tool: 'search_nodes', args: { query: `came to ${workspace}` }, holds: `tools came to ${workspace}` },
  ],
}

/**
 * Lists and calls tools of every provider in every workspace, from the database row alone. `toolCounts`: by instance id,
 * what Toolferry itself found. (Dify announces sampling and roots, which Toolferry does not, and which Dify then refuses to
 * serve: a server may list more to Dify.)
 */
export async function callEverywhere(
  side: DifySide,
  spaces: Space[],
  instances: Instance[],
  toolCounts: Map<string, number>,
  expectations: Expectations,
): Promise<void> {
  for (const space of spaces) {
    for (const instance of instances) {
      const provider = await providerOf(side, space, instance)
      const what = `${instance.name} in ${space.name}`
      if (provider === null) {
        expectations.expect(false, `Dify finds ${what}`, 'there is no such row')
        continue
      }
      try {
        const session = await side.connect(space.remoteId, provider.id)
        try {
          const listed = await session.listTools()
          const answers: string[] = []
          const wrong: string[] = []
          for (const call of CALLS[instance.name]?.(space.name) ?? []) {
            const answer = await session.callTool(call.tool, call.args)
            if (!answer.includes(call.holds))
              wrong.push(`${call.tool} answered ${JSON.stringify(answer.slice(0, 120))}`)
            answers.push(`${call.tool} → ${shorten(answer)}`)
          }
          const gone = provider.tools.filter((tool) => !listed.includes(tool))
          if (gone.length > 0) wrong.push(`the server does not list ${gone.join(', ')}`)
          if (provider.tools.length !== toolCounts.get(instance.id))
            wrong.push(`the row has ${provider.tools.length} tools`)
          if (!provider.authed) wrong.push('the row is not authed')
          expectations.expect(
            wrong.length === 0,
            `${what}: ${provider.tools.length} tools; ${answers.join('; ')}`,
            wrong.join('; '),
          )
        } finally {
          await session.close()
        }
      } catch (error) {
        expectations.expect(false, `Dify can use ${what}`, messageOf(error))
      }
    }
  }
}

/** One call, for what it says about access: `ok`, or the HTTP status and reason of the refusal. */
export async function tryCall(
  side: DifySide,
  space: Space,
  instance: Instance,
): Promise<'ok' | { status: number; reason: string }> {
  const provider = await providerOf(side, space, instance)
  if (provider === null) throw new Error(`There is no row for ${instance.name} in ${space.name}.`)
  try {
    const session = await side.connect(space.remoteId, provider.id)
    try {
      await session.listTools()
      return 'ok'
    } finally {
      await session.close()
    }
  } catch (error) {
    if (error instanceof CallRefused) return { status: error.status, reason: error.reason }
    throw error
  }
}

async function providerOf(side: DifySide, space: Space, instance: Instance): Promise<DifyProvider | null> {
  const providers = await side.providers(space.remoteId)
  return providers.find((provider) => provider.name === instance.name) ?? null
}

function shorten(text: string): string {
  const flat = text.replaceAll(/\s+/g, ' ').trim()
  return flat.length > 48 ? `${flat.slice(0, 47)}…` : flat
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
