import type { McpTransport } from './tool.ts'

/** Reads the `mcpServers` JSON of MCP clients (Claude Desktop, Cursor, Cline, VS Code …). Pure. */

export type ImportedServer = {
  name: string
  transport: McpTransport
  url: string
  headers: Record<string, string>
  description: string | null
}

export type ImportProblem = {
  /** The entry's name; null = the whole document. */
  name: string | null
  /** `mcpServers.<name>.<field>`. */
  field: string
  reason: string
}

export type ImportedServers = { entries: ImportedServer[]; problems: ImportProblem[] }

export const MAX_IMPORTED_SERVERS = 500

const TRANSPORTS: Readonly<Record<string, McpTransport>> = {
  http: 'streamable-http',
  'streamable-http': 'streamable-http',
  streamablehttp: 'streamable-http',
  streamable_http: 'streamable-http',
  sse: 'sse',
}

/**
 * Every entry that can be an instance, and for every other one why not. Takes `{mcpServers: {…}}`, VS Code's `{servers: {…}}`, or
 * the entries themselves. URLs and header values are taken as they are: the egress policy and header rules judge them.
 */
export function parseMcpServers(json: unknown): ImportedServers {
  const servers = serversOf(json)
  if (servers === null) {
    const reason = 'must be an object like {"mcpServers": {"name": {"url": "https://…/mcp"}}}'
    return { entries: [], problems: [{ name: null, field: 'mcpServers', reason }] }
  }
  const named = Object.entries(servers)
  const result: ImportedServers = { entries: [], problems: [] }
  if (named.length > MAX_IMPORTED_SERVERS) {
    const reason = `has ${named.length} servers; at most ${MAX_IMPORTED_SERVERS} are taken at once. Split it`
    return { entries: [], problems: [{ name: null, field: 'mcpServers', reason }] }
  }
  for (const [name, server] of named) {
    const read = readServer(name, server)
    if ('reason' in read) result.problems.push({ name, field: `mcpServers.${name}${read.at}`, reason: read.reason })
    else result.entries.push(read)
  }
  return result
}

function serversOf(json: unknown): Record<string, unknown> | null {
  if (!isRecord(json)) return null
  if ('mcpServers' in json) return isRecord(json.mcpServers) ? json.mcpServers : null
  if ('servers' in json) return isRecord(json.servers) ? json.servers : null
  const values = Object.values(json)
  return values.length > 0 &&
    values.every((value) => isRecord(value) && ('url' in value || 'serverUrl' in value || 'command' in value))
    ? json
    : null
}

type Refused = { at: string; reason: string }

function readServer(key: string, server: unknown): ImportedServer | Refused {
  const name = key.trim()
  if (name === '') return { at: '', reason: 'has an empty name' }
  if (!isRecord(server)) return { at: '', reason: 'must be an object with a url' }
  const url = server.url ?? server.serverUrl
  if (url === undefined) return withoutUrl(server)
  if (typeof url !== 'string' || url.trim() === '') return { at: '.url', reason: 'must be a URL' }
  const transport = transportOf(server.type ?? server.transport, url)
  if (transport === null) {
    return { at: '.type', reason: 'must be http, streamable-http, streamableHttp or sse (or be left out)' }
  }
  const headers = server.headers ?? {}
  if (!isRecord(headers)) return { at: '.headers', reason: 'must be an object of header names and values' }
  const taken: Record<string, string> = {}
  for (const [header, value] of Object.entries(headers)) {
    if (typeof value !== 'string') return { at: `.headers.${header}`, reason: 'must be a text' }
    if (/\$\{[^}]*\}/.test(value)) {
      return {
        at: `.headers.${header}`,
        reason: 'refers to a variable of the client that this file is from. Put the value in its place',
      }
    }
    taken[header] = value
  }
  const description = typeof server.description === 'string' && server.description !== '' ? server.description : null
  return { name, transport, url: url.trim(), headers: taken, description }
}

function withoutUrl(server: Record<string, unknown>): Refused {
  if ('command' in server || server.type === 'stdio') {
    return {
      at: '.command',
      reason:
        'runs as a local command (stdio), which platforms cannot call over the network. Run it behind an HTTP bridge and give its URL',
    }
  }
  return { at: '.url', reason: 'is missing' }
}

/** Clients leave the transport out and try; the path's ending tells it nearly always. */
function transportOf(given: unknown, url: string): McpTransport | null {
  if (given === undefined || given === null) {
    const path = url.split(/[?#]/, 1)[0] ?? ''
    return /\/sse\/?$/i.test(path) ? 'sse' : 'streamable-http'
  }
  if (typeof given !== 'string') return null
  const lower = given.toLowerCase()
  return Object.hasOwn(TRANSPORTS, lower) ? (TRANSPORTS[lower] ?? null) : null
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
