import ipaddr from 'ipaddr.js'
import type { Address, Cidr } from './address.ts'
import { inCidr, parseAddress } from './address.ts'

/** The entries of TOOLFERRY_EGRESS_ALLOW or _DENY, ready to match. */
export type EgressRules = {
  /** `*`: everything. */
  all: boolean
  cidrs: Cidr[]
  /** Exact host names, lower case, no trailing dot. */
  names: ReadonlySet<string>
  /** `.internal` for an entry `*.internal`. */
  suffixes: string[]
}

/**
 * Reads entries: `10.0.0.0/8`, `10.1.2.3`, `fd00::/8`, `mcp.example.com`, `*.internal` (every name below it, not `internal`
 * itself), `*`. Throws TypeError naming the variable and the entry that cannot be read: a rule that is silently ignored opens a door.
 */
export function parseRules(entries: readonly string[], variable: string): EgressRules {
  const rules = { all: false, cidrs: [] as Cidr[], names: new Set<string>(), suffixes: [] as string[] }
  for (const entry of entries) {
    const text = entry
      .trim()
      .toLowerCase()
      .replace(/(?<=[a-z0-9_-])\.$/, '')
    const address = parseAddress(text)
    if (text === '*') rules.all = true
    else if (text.includes('/')) rules.cidrs.push(parseCidr(text, variable))
    else if (address !== null) rules.cidrs.push([unmapped(address), unmapped(address).kind() === 'ipv4' ? 32 : 128])
    else if (/^\*(\.[a-z0-9_-]+)+$/.test(text)) rules.suffixes.push(text.slice(1))
    else if (/^([a-z0-9_-]+\.)*[a-z0-9_-]*[a-z_-][a-z0-9_-]*$/.test(text)) rules.names.add(text)
    else throw unreadable(variable, entry)
  }
  return rules
}

/** Whether a host name (lower case, no trailing dot) is named by an entry. `*` is not looked at. */
export function matchesName(rules: EgressRules, name: string): boolean {
  return rules.names.has(name) || rules.suffixes.some((suffix) => name.endsWith(suffix) && name.length > suffix.length)
}

export function matchesAddress(rules: EgressRules, address: Address): boolean {
  return rules.cidrs.some((cidr) => inCidr(address, cidr))
}

function parseCidr(text: string, variable: string): Cidr {
  if (!ipaddr.isValidCIDR(text)) throw unreadable(variable, text)
  const [address, bits] = ipaddr.parseCIDR(text)
  // Addresses are judged unmapped, so a rule about mapped ones is read as the rule about IPv4 that it means.
  if (address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress() && bits >= 96)
    return [address.toIPv4Address(), bits - 96]
  return [address, bits]
}

function unmapped(address: Address): Address {
  return address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress() ? address.toIPv4Address() : address
}

function unreadable(variable: string, entry: string): TypeError {
  return new TypeError(
    `${variable}: “${entry}” is not a CIDR (10.0.0.0/8), an IP address, a host name, a suffix (*.internal) or *. Correct or remove it.`,
  )
}
