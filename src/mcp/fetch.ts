import type { Agent } from 'undici'
import { Response as UndiciResponse, fetch as undiciFetch } from 'undici'
import type { ToolferryError } from '../domain/errors.ts'
import type { McpTransport } from '../domain/tool.ts'
import { networkFailure, responseFailure, tooManyBytes } from './errors.ts'

export type McpFetch = {
  /** For the SDK's transports. */
  fetch: (url: string | URL, init?: RequestInit) => Promise<Response>
  /** What went wrong with the latest exchange, if it did. The SDK's errors quote bodies and lose causes; this does neither. */
  failure(): ToolferryError | null
  /** Whether the server has answered anything at all over HTTP. */
  answered(): boolean
}

export type McpFetchOptions = {
  agent: Agent
  transport: McpTransport
  /** Ends every request but the goodbye. */
  signal: AbortSignal
  /** Over all responses together, after decompression. */
  maxBytes: number
  /** The limit for the goodbye (DELETE), which is sent after an abort, too. */
  closeTimeoutMs: number
}

/** fetch through the egress agent: no redirects, limited bytes, and a memory of the latest failure. */
export function createMcpFetch(options: McpFetchOptions): McpFetch {
  let failure: ToolferryError | null = null
  let answered = false
  let bytesLeft = options.maxBytes

  const limited = (body: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> =>
    body.pipeThrough(
      new TransformStream<Uint8Array, Uint8Array>({
        transform(chunk, controller) {
          bytesLeft -= chunk.byteLength
          if (bytesLeft >= 0) return controller.enqueue(chunk)
          failure = tooManyBytes(options.maxBytes)
          controller.error(failure)
        },
      }),
    )

  const fetch = async (url: string | URL, init: RequestInit = {}): Promise<Response> => {
    const method = init.method ?? 'GET'
    const headers = new Headers(init.headers)
    // Streamable HTTP's stream for unasked messages: nothing here waits for any. "Not offered" is an answer that servers give, too.
    if (options.transport === 'streamable-http' && method === 'GET' && !headers.has('last-event-id')) {
      return new Response(null, { status: 405 })
    }
    const goodbye = method === 'DELETE'
    const signal = goodbye
      ? AbortSignal.timeout(options.closeTimeoutMs)
      : AbortSignal.any([options.signal, ...(init.signal ? [init.signal] : [])])
    try {
      const response = await undiciFetch(url, {
        method,
        headers: [...headers],
        body: typeof init.body === 'string' ? init.body : undefined,
        redirect: 'manual',
        signal,
        dispatcher: options.agent,
      })
      const problem = responseFailure(method, options.transport, response.status, response.headers)
      if (goodbye) return response as unknown as Response
      answered = true
      failure = problem
      if (problem !== null && response.status < 400) {
        // A redirect, or a page that is no MCP answer: the SDK would follow or read it.
        await response.body?.cancel()
        throw problem
      }
      const body = response.body === null ? null : limited(response.body as ReadableStream<Uint8Array>)
      return new UndiciResponse(body, {
        status: response.status,
        statusText: response.statusText,
        headers: response.headers,
      }) as unknown as Response
    } catch (error) {
      if (!goodbye && !signal.aborted && error !== failure) failure = networkFailure(error)
      throw error
    }
  }
  return { fetch, failure: () => failure, answered: () => answered }
}
