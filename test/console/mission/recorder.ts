import { type ScriptedServer, startScriptedServer } from '../../support/scripted-mcp-server.ts'

/** An MCP server that remembers with which headers it was called, and that can keep its callers waiting. */
export type Recorder = ScriptedServer & {
  /** What came in a header, over all requests so far. */
  seen: (header: string) => Set<string>
  forget: () => void
  /**
   * From now on, once the tools have been listed `lists` times, every `initialize` waits. `held` resolves with the first one that does;
   * `release` lets all go on.
   */
  holdAfterLists: (lists: number) => { held: Promise<void>; release: () => void }
}

export const RECORDER_TOOL = 'note'

export async function startRecorder(): Promise<Recorder> {
  let gate: { lists: number; held: PromiseWithResolvers<void>; open: PromiseWithResolvers<void> } | null = null
  const server = await startScriptedServer({
    tools: [
      {
        name: RECORDER_TOOL,
        description: 'Takes a note',
        inputSchema: { type: 'object', properties: { text: { type: 'string', description: 'What to note' } } },
      },
    ],
    before: async (message) => {
      if (gate === null) return
      if (message?.method === 'tools/list') gate.lists -= 1
      if (message?.method !== 'initialize' || gate.lists > 0) return
      gate.held.resolve()
      await gate.open.promise
    },
  })
  return {
    ...server,
    seen: (header) => new Set(server.requests.flatMap(({ headers }) => [headers[header.toLowerCase()] ?? []]).flat()),
    forget: () => void server.requests.splice(0),
    holdAfterLists: (lists) => {
      const made = { lists, held: Promise.withResolvers<void>(), open: Promise.withResolvers<void>() }
      gate = made
      return {
        held: made.held.promise,
        release: () => {
          gate = null
          made.open.resolve()
        },
      }
    },
  }
}
