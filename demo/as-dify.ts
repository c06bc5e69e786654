import type { Instance, Space } from './api-types.ts'
import type { DifyProvider, DifySide } from './dify/dify-side.ts'
import { CallRefused } from './dify/mcp-call.ts'
import type { Expectations } from './expectations.ts'
import type { Terminal } from './terminal.ts'

/** The tools that the demo calls, with what each answer must hold. */
const CALLS: Record<string, { tool: string; args: Record<string, unknown>; holds: string }[]> = {
  everything: [
    { tool: 'echo', args: { message: 'ferried to Dify' }, holds: 'ferried to Dify' },
    { tool: 'get-sum', args: { a: 19, b: 23 }, holds: '42' },
  ],
  'everything-sse': [{ tool: 'echo', args: { message: 'ferried over SSE' }, holds: 'ferried over SSE' }],
  memory: [
    {
      tool: 'create_entities',
      args: { entities: [{ name: 'Toolferry', entityType: 'product', observations: ['carries tools'] }] },
      holds: 'Toolferry',
    },
    { tool: 'search_nodes', args: { query: 'carries' }, holds: 'Toolferry' },
  ],
}

/** Lists and calls tools of every provider in every workspace, from the database row alone. */
export async function callEverywhere(
  side: DifySide,
  spaces: Space[],
  instances: Instance[],
  terminal: Terminal,
  expectations: Expectations,
): Promise<void> {
  for (const space of spaces) {
    terminal.note(`${space.name}: row → decrypt with the workspace's private key → connect → list → call`)
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
          for (const call of CALLS[instance.name] ?? []) {
            const answer = await session.callTool(call.tool, call.args)
            if (!answer.includes(call.holds))
              wrong.push(`${call.tool} answered ${JSON.stringify(answer.slice(0, 120))}`)
            answers.push(`${call.tool} → ${shorten(answer)}`)
          }
          const missing = listed.filter((tool) => !provider.tools.includes(tool))
          if (missing.length > 0) wrong.push(`the row lacks the tools ${missing.join(', ')}`)
          if (!provider.authed) wrong.push('the row is not authed')
          expectations.expect(
            wrong.length === 0,
            `${what}: ${listed.length} tools; ${answers.join('; ')}`,
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
