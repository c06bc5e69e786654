import type { RpcRequest } from './rpc.ts'

const ENCODED = /^=\?base64\?([A-Za-z0-9+/]*={0,2})\?=$/

/**
 * Whether `Mcp-Method` and `Mcp-Name` (2026-07-28), where they are sent, say what the body says. Needed where the body was
 * judged by a policy: an upstream that routes by the headers must not be told something else. Names with `_` count too, as
 * many servers read them like `-`.
 */
export function headersAgree(rawHeaders: readonly string[], request: RpcRequest): boolean {
  const [message] = request.messages
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const raw = rawHeaders[i] ?? ''
    if (raw.length !== 10 && raw.length !== 8) continue
    const name = raw.toLowerCase().replaceAll('_', '-')
    if (name !== 'mcp-method' && name !== 'mcp-name') continue
    if (request.batch || message === undefined) return false
    const said = decoded((rawHeaders[i + 1] ?? '').trim())
    if (said !== (name === 'mcp-method' ? message.method : nameIn(message))) return false
  }
  return true
}

function nameIn(message: Record<string, unknown>): unknown {
  const { params } = message
  if (typeof params !== 'object' || params === null) return undefined
  const { name, uri } = params as { name?: unknown; uri?: unknown }
  return String(message.method).startsWith('resources/') ? uri : name
}

function decoded(value: string): string {
  const match = ENCODED.exec(value)
  return match === null ? value : Buffer.from(match[1] ?? '', 'base64').toString('utf8')
}
