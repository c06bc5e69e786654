import { lookup } from 'node:dns/promises'
import { networkInterfaces } from 'node:os'
import type { buildConnector } from 'undici'
import { ToolferryError } from '../domain/errors.ts'
import type { Address } from './address.ts'
import { classify, parseAddress, reachableForms } from './address.ts'
import type { ConnectorOptions } from './connector.ts'
import { buildCheckedConnector } from './connector.ts'
import type { EgressRules } from './rules.ts'
import { matchesAddress, matchesName, parseRules } from './rules.ts'

export type CheckedAddress = { address: string; family: 4 | 6 }

/** All addresses of a host name, best first. Rejects like node:dns does (ENOTFOUND, EAI_AGAIN). */
export type Resolver = (host: string) => Promise<CheckedAddress[]>

export type EgressPolicyOptions = {
  /** TOOLFERRY_EGRESS_ALLOW: CIDRs, addresses, host names, `*.suffix`, `*` (everything that is not refused for good). */
  allow: readonly string[]
  /** TOOLFERRY_EGRESS_DENY: the same, and `*` = whatever no allow entry names. */
  deny: readonly string[]
  /** True while Toolferry itself listens on loopback only: then its admins are on this machine, and so may be the servers. */
  loopbackAllowed: boolean
  /** Ports of our own listeners on this machine (API, gateway, Temporal, the store's database); read at every check, so the set may grow. */
  ownPorts: ReadonlySet<number>
  /**
   * Our own services elsewhere, as `host:port`, lower case, IPv6 without brackets: the Temporal frontend. Not the gateway, which has its
   * URLs below, nor the store's MySQL: Dify's database may be on the same server, and MySQL speaks no HTTP.
   */
  ownEndpoints?: ReadonlySet<string>
  /**
   * Where our gateway is called, by whatever proxy: no URL below their `/mcp-gateway/` is an MCP server's. Not the whole host, on
   * which a proxy may serve others by their paths.
   */
  ownGatewayUrls?: readonly string[]
  resolve?: Resolver
}

/**
 * Where Toolferry may connect to. Of the rules, the first that speaks decides:
 *
 * | what                                                                                        | verdict |
 * | ------------------------------------------------------------------------------------------- | ------- |
 * | link-local, cloud metadata (by address or name), unspecified, multicast, broadcast, tunnels | never, not even by an allow entry |
 * | our own ports on loopback or on this machine's addresses; our own endpoints and gateway URLs | never, not even by an allow entry |
 * | a deny entry names the host or the address                                                  | refused: deny wins over allow |
 * | an allow entry names the host or the address                                                | allowed |
 * | deny has `*`                                                                                | refused |
 * | loopback                                                                                    | allowed only while we listen on loopback |
 * | other special-purpose ranges (documentation, benchmarking, reserved)                        | refused |
 * | private and public addresses                                                                | allowed |
 *
 * So an allow entry opens what is closed by default; it does not close the rest (`TOOLFERRY_EGRESS_DENY=*` does). Of a name with
 * several addresses only the allowed ones are used. Every refusal is `InvalidDesiredState` and names host, field and remedy.
 */
export type EgressPolicy = {
  /**
   * Checks what can be told without DNS: http or https, no user name, no fragment, the host and port. Answers the URL as it will be
   * called (decimal, octal and hex hosts in plain form): store its `href`. `field` names the input in the message (default "url").
   */
  checkUrl(url: string, field?: string): URL
  /** checkUrl, then the addresses the name has now. A name that does not resolve (yet) passes: it is checked again at connect. */
  checkUrlAddresses(url: string, field?: string): Promise<URL>
  /** The same for a bare host name or IP and a port (a database). Answers the host in plain form, an IPv6 address without brackets. */
  checkHost(host: string, port: number, field?: string): string
  /**
   * Resolves, checks and answers the address to connect to, best first; for pg and mysql sockets (connect to `address`, keep the
   * name for TLS). Rejects with InvalidDesiredState, or with node:dns's own error (`code` ENOTFOUND, EAI_AGAIN …).
   */
  checkedLookup(host: string, port: number, field?: string): Promise<CheckedAddress>
  /** checkedLookup with every address that may be used; never empty. */
  checkedLookupAll(host: string, port: number, field?: string): Promise<CheckedAddress[]>
  /** For undici's `connect` option: resolves, checks, and connects to the very addresses checked; TLS keeps the name. */
  connector(options?: ConnectorOptions): buildConnector.connector
  /** A policy for our own handshake through our own gateway: that one host and port, though they are our own, and nothing else. */
  forOwnGateway(origin: string): EgressPolicy
}

/** Names under which clouds serve metadata; the addresses behind them are refused as well. */
const METADATA_NAMES = new Set([
  'metadata.google.internal',
  'metadata.goog',
  'instance-data.ec2.internal',
  'metadata.tencentyun.com',
  'metadata.azure.internal',
])

/** See `EgressPolicy` for the rules. Throws TypeError for an entry of allow or deny that cannot be read. */
export function createEgressPolicy(options: EgressPolicyOptions): EgressPolicy {
  return policyOf(
    {
      allow: parseRules(options.allow, 'TOOLFERRY_EGRESS_ALLOW'),
      deny: parseRules(options.deny, 'TOOLFERRY_EGRESS_DENY'),
      loopbackAllowed: options.loopbackAllowed,
      ownPorts: options.ownPorts,
      ownEndpoints: options.ownEndpoints ?? new Set(),
      ownGatewayUrls: options.ownGatewayUrls ?? [],
      resolve: options.resolve ?? resolveBySystem,
    },
    null,
  )
}

type Rules = Required<Omit<EgressPolicyOptions, 'allow' | 'deny'>> & { allow: EgressRules; deny: EgressRules }

/** The one host and port that a policy of `forOwnGateway` is for. */
type OnlyTarget = { host: string; port: number }

function policyOf(rules: Rules, only: OnlyTarget | null): EgressPolicy {
  const policy: EgressPolicy = {
    checkUrl(url, field = 'url') {
      const parsed = parseUrl(url, field)
      policy.checkHost(parsed.hostname, portOf(parsed), field)
      if (only === null && rules.ownGatewayUrls.some((own) => isBelowGateway(parsed, own))) {
        throw refusal(
          field,
          `${parsed.host} is Toolferry's own gateway, which would call itself. Give the address of the MCP server itself.`,
        )
      }
      return parsed
    },
    async checkUrlAddresses(url, field = 'url') {
      const parsed = policy.checkUrl(url, field)
      try {
        await policy.checkedLookupAll(parsed.hostname, portOf(parsed), field)
      } catch (error) {
        if (error instanceof ToolferryError) throw error
      }
      return parsed
    },
    checkHost(text, port, field = 'host') {
      const host = plainHost(text, field)
      if (!Number.isInteger(port) || port < 1 || port > 65535) {
        throw refusal(field, `the port ${port} is not between 1 and 65535. Give the port that the server listens on.`)
      }
      const address = parseAddress(host)
      const reason =
        address === null
          ? refuseName(rules, only, nameOf(host), port)
          : refuseAddress(rules, only, { address, name: host, port })
      if (reason !== null) throw refusal(field, reason)
      return host
    },
    async checkedLookup(host, port, field) {
      const [best] = await policy.checkedLookupAll(host, port, field)
      if (best === undefined) throw refusal(field ?? 'host', 'it has no address. Check its DNS entry.')
      return best
    },
    async checkedLookupAll(text, port, field = 'host') {
      const host = policy.checkHost(text, port, field)
      const literal = parseAddress(host)
      const answers = literal === null ? await rules.resolve(host) : [{ address: host }]
      const allowed: CheckedAddress[] = []
      let reason: string | null = null
      for (const answer of answers) {
        const address = parseAddress(answer.address)
        if (address === null) continue
        const refused =
          refuseAddress(rules, only, { address, name: nameOf(host), port }) ??
          (await refuseOwnEndpoint(rules, only, address, port))
        if (refused === null) allowed.push({ address: answer.address, family: address.kind() === 'ipv4' ? 4 : 6 })
        else reason ??= refused
      }
      if (allowed.length === 0) throw refusal(field, reason ?? `“${nameOf(host)}” has no address. Check its DNS entry.`)
      return allowed
    },
    connector(connectorOptions) {
      return buildCheckedConnector(policy, connectorOptions)
    },
    forOwnGateway(origin) {
      const url = parseUrl(origin, 'gatewayUrl')
      return policyOf(rules, { host: nameOf(plainHost(url.hostname, 'gatewayUrl')), port: portOf(url) })
    },
  }
  return policy
}

/** Judges a host name before DNS is asked. Null = nothing against it so far. */
function refuseName(rules: Rules, only: OnlyTarget | null, name: string, port: number): string | null {
  if (METADATA_NAMES.has(name)) return never(name, 'a cloud metadata service')
  if (only !== null) return isOnly(only, name, port) ? null : notTheGateway(name, port)
  const loopback = name === 'localhost' || name.endsWith('.localhost')
  if ((loopback && rules.ownPorts.has(port)) || rules.ownEndpoints.has(`${name}:${port}`)) return ownService(name, port)
  if (matchesName(rules.deny, name)) return denied(name)
  // An allowed network may hold loopback addresses, so then the address decides.
  const mayBeAllowed = matchesName(rules.allow, name) || rules.allow.all || rules.allow.cidrs.length > 0
  return loopback && !rules.loopbackAllowed && !mayBeAllowed ? loopbackRefused(name) : null
}

type Judged = { address: Address; name: string; port: number }

/** Judges an address that is about to be connected to (or was given as such); `name` is what the admin wrote. Null = allowed. */
function refuseAddress(rules: Rules, only: OnlyTarget | null, { address, name, port }: Judged): string | null {
  const shown = parseAddress(name) === null ? `${name} (${address.toString()})` : address.toString()
  const forms = reachableForms(address)
  if (forms.some((form) => classify(form) === 'never')) {
    return never(shown, 'link-local, cloud metadata, or not an address of one server')
  }
  if (only !== null) return isOnly(only, name, port) ? null : notTheGateway(name, port)
  if (rules.ownPorts.has(port) && forms.some(isOwnAddress)) return ownService(shown, port)
  if (rules.ownEndpoints.has(`${name}:${port}`)) return ownService(shown, port)
  if (matchesName(rules.deny, name) || forms.some((form) => matchesAddress(rules.deny, form))) return denied(shown)
  if (matchesName(rules.allow, name)) return null
  for (const form of forms) {
    const reason = refuseByDefault(rules, form, shown)
    if (reason !== null) return reason
  }
  return null
}

function refuseByDefault(rules: Rules, form: Address, shown: string): string | null {
  if (matchesAddress(rules.allow, form) || rules.allow.all) return null
  if (rules.deny.all)
    return `${shown} is not in TOOLFERRY_EGRESS_ALLOW, and TOOLFERRY_EGRESS_DENY is *. Ask the operator to add it.`
  const kind = classify(form)
  if (kind === 'loopback' && !rules.loopbackAllowed) return loopbackRefused(shown)
  if (kind === 'special') {
    return `${shown} lies in a range set aside for special purposes. Give the server's own address, or add it to TOOLFERRY_EGRESS_ALLOW.`
  }
  return null
}

/** Where one address serves many names: there another name is another server. */
const SHARED_PORTS = new Set([80, 443])

/** Our own services on other machines, under whatever name they are called here. Resolved only when the port is one of theirs. */
async function refuseOwnEndpoint(
  rules: Rules,
  only: OnlyTarget | null,
  address: Address,
  port: number,
): Promise<string | null> {
  if (only !== null || SHARED_PORTS.has(port)) return null
  for (const endpoint of rules.ownEndpoints) {
    const [host, ownPort] = splitEndpoint(endpoint)
    if (ownPort !== port) continue
    const own = parseAddress(host) !== null ? [{ address: host }] : await rules.resolve(host).catch(() => [])
    if (own.some((answer) => parseAddress(answer.address)?.toString() === address.toString())) {
      return ownService(address.toString(), port)
    }
  }
  return null
}

function isBelowGateway(url: URL, gatewayUrl: string): boolean {
  const own = new URL(gatewayUrl)
  const prefix = `${own.pathname.replace(/\/+$/, '')}/mcp-gateway/`
  return nameOf(url.hostname) === nameOf(own.hostname) && portOf(url) === portOf(own) && url.pathname.startsWith(prefix)
}

function splitEndpoint(endpoint: string): [string, number] {
  const colon = endpoint.lastIndexOf(':')
  return [endpoint.slice(0, colon), Number(endpoint.slice(colon + 1))]
}

/** Whether a packet to the address ends on this machine: loopback, or one of its interfaces. */
function isOwnAddress(address: Address): boolean {
  if (address.range() === 'loopback') return true
  const text = address.toString()
  return Object.values(networkInterfaces()).some((entries) =>
    entries?.some((entry) => parseAddress(entry.address)?.toString() === text),
  )
}

function parseUrl(text: string, field: string): URL {
  const example = 'Give it like https://mcp.example.com/mcp.'
  // biome-ignore lint/suspicious/noControlCharactersInRegex: URL parsing drops them silently, so what is stored would not be what was read.
  if (/[\s\u0000-\u001f\u007f]/.test(text)) throw refusal(field, `it has spaces or control characters. ${example}`)
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null) throw refusal(field, `it is not a URL. ${example}`)
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw refusal(field, `it starts with ${url.protocol} and only http: and https: are called. ${example}`)
  }
  if (url.username !== '' || url.password !== '') {
    throw refusal(
      field,
      'it carries a user name or password. Remove them from the URL and give them as a header (Authorization) instead.',
    )
  }
  if (text.includes('#')) throw refusal(field, 'it has a fragment (#…), which no server ever sees. Remove it.')
  return url
}

/** A host in the form it is connected to: `0x7f.1` and `2130706433` become 127.0.0.1, names lower case and punycode, IPv6 without brackets. */
function plainHost(text: string, field: string): string {
  const address = parseAddress(text)
  if (address !== null && address.kind() === 'ipv6') return address.toString()
  const url = /^[^\s/\\?#@:%[\]]+$/.test(text) && URL.canParse(`http://${text}/`) ? new URL(`http://${text}/`) : null
  if (url === null)
    throw refusal(
      field,
      'it is not a host name or an IP address. Give it like db.example.com or 10.0.0.5, without scheme, port or path.',
    )
  return url.hostname
}

/** A host as it is compared with rules: `example.com.` is example.com. */
function nameOf(host: string): string {
  return host.replace(/\.$/, '')
}

function portOf(url: URL): number {
  if (url.port !== '') return Number(url.port)
  return url.protocol === 'https:' ? 443 : 80
}

function isOnly(only: OnlyTarget, name: string, port: number): boolean {
  return only.host === name && only.port === port
}

function refusal(field: string, reason: string): ToolferryError {
  return new ToolferryError('InvalidDesiredState', `${field}: ${reason}`, { field })
}

function never(shown: string, what: string): string {
  return `${shown} is ${what}; Toolferry never connects there. Give the server's own host name or address.`
}

function ownService(shown: string, port: number): string {
  return `port ${port} on ${shown} belongs to Toolferry itself (API, gateway, Temporal or its database). Give the address of the server that is meant.`
}

function denied(shown: string): string {
  return `${shown} is denied by TOOLFERRY_EGRESS_DENY. Use another address, or ask the operator to change that setting.`
}

function loopbackRefused(shown: string): string {
  return `${shown} is this machine, and Toolferry serves other machines. Give an address that is reachable from outside, or add it to TOOLFERRY_EGRESS_ALLOW.`
}

function notTheGateway(name: string, port: number): string {
  return `${name}:${port} is not the gateway's address. Check TOOLFERRY_GATEWAY_URL.`
}

async function resolveBySystem(host: string): Promise<CheckedAddress[]> {
  const answers = await lookup(host, { all: true, order: 'verbatim' })
  return answers.map(({ address, family }) => ({ address, family: family === 6 ? 6 : 4 }))
}
