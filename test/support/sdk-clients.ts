import {
  Client as Client2,
  SSEClientTransport as Sse2,
  StreamableHTTPClientTransport as Streamable2,
} from '@modelcontextprotocol/client'
import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js'
import { SSEClientTransport as Sse1 } from '@modelcontextprotocol/sdk/client/sse.js'
import { StreamableHTTPClientTransport as Streamable1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  LoggingMessageNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js'

/** The MCP project's own TypeScript clients, 1.x and 2.x, behind one face: what a test does with either. */
export type SdkClient = {
  serverName: string | undefined
  tools(): Promise<string[]>
  /** The first text of the result. */
  call(name: string, args?: Record<string, unknown>, options?: CallOptions): Promise<string>
  setLogLevel(level: 'debug' | 'error'): Promise<void>
  /** What the server logged, as it arrived. */
  logs: unknown[]
  /** Streamable HTTP: the session's id, and its DELETE. */
  sessionId(): string | undefined
  endSession(): Promise<void>
  close(): Promise<void>
}

export type CallOptions = { onprogress?: (progress: { progress: number }) => void; signal?: AbortSignal }

export const SDK_CLIENTS = [
  ['1.x', 'streamable-http'],
  ['2.x', 'streamable-http'],
  ['1.x', 'sse'],
  ['2.x', 'sse'],
] as const
export type SdkGeneration = (typeof SDK_CLIENTS)[number][0]
export type SdkTransport = (typeof SDK_CLIENTS)[number][1]

const INFO = { name: 'test', version: '1.0.0' }
const CAPABILITIES = { capabilities: { sampling: {}, elicitation: {} } }
/** What its model and its user say. */
const MODEL_SAYS = { model: 'm', role: 'assistant' as const, content: { type: 'text' as const, text: 'forty-two' } }
const USER_SAYS = { action: 'accept' as const, content: { name: 'Ada' } }
/** Comes again soon and often: tests cut connections. */
const reconnectionOptions = {
  initialReconnectionDelay: 20,
  maxReconnectionDelay: 20,
  reconnectionDelayGrowFactor: 1,
  maxRetries: 500,
}

/** Connected, with a model and a user that answer at once. */
export async function connectSdkClient(
  generation: SdkGeneration,
  transport: SdkTransport,
  url: string,
  token: string,
): Promise<SdkClient> {
  const requestInit = { headers: { Authorization: `Bearer ${token}` } }
  const isSse = transport === 'sse'
  const logs: unknown[] = []
  if (generation === '1.x') {
    const wire = isSse
      ? new Sse1(new URL(url), { requestInit })
      : new Streamable1(new URL(url), { requestInit, reconnectionOptions })
    const client = new Client1(INFO, CAPABILITIES)
    client.setRequestHandler(CreateMessageRequestSchema, async () => MODEL_SAYS)
    client.setRequestHandler(ElicitRequestSchema, async () => USER_SAYS)
    client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => void logs.push(params.data))
    // Its own types are not written for exactOptionalPropertyTypes.
    await client.connect(wire as Parameters<Client1['connect']>[0])
    return {
      serverName: client.getServerVersion()?.name,
      tools: async () => (await client.listTools()).tools.map(({ name }) => name),
      call: async (name, args = {}, options = {}) =>
        firstText(await client.callTool({ name, arguments: args }, undefined, options)),
      setLogLevel: async (level) => void (await client.setLoggingLevel(level)),
      logs,
      sessionId: () => (wire instanceof Streamable1 ? wire.sessionId : undefined),
      endSession: async () => (wire instanceof Streamable1 ? await wire.terminateSession() : undefined),
      close: () => client.close(),
    }
  }
  const wire = isSse
    ? new Sse2(new URL(url), { requestInit })
    : new Streamable2(new URL(url), { requestInit, reconnectionOptions })
  const client = new Client2(INFO, CAPABILITIES)
  client.setRequestHandler('sampling/createMessage', async () => MODEL_SAYS)
  client.setRequestHandler('elicitation/create', async () => USER_SAYS)
  client.setNotificationHandler('notifications/message', ({ params }) => void logs.push(params.data))
  await client.connect(wire)
  return {
    serverName: client.getServerVersion()?.name,
    tools: async () => (await client.listTools()).tools.map(({ name }) => name),
    call: async (name, args = {}, options = {}) => firstText(await client.callTool({ name, arguments: args }, options)),
    setLogLevel: async (level) => void (await client.setLoggingLevel(level)),
    logs,
    sessionId: () => (wire instanceof Streamable2 ? wire.sessionId : undefined),
    endSession: async () => (wire instanceof Streamable2 ? await wire.terminateSession() : undefined),
    close: () => client.close(),
  }
}

function firstText(result: unknown): string {
  const { content } = result as { content?: { text?: string }[] }
  return content?.[0]?.text ?? ''
}
