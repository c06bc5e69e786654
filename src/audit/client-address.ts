import ipaddr from 'ipaddr.js'
import { type Address, parseAddress } from '../egress/address.ts'
import { type EgressRules, matchesAddress, parseRules } from '../egress/rules.ts'

/** Where a call came from, as far as that can be known. */

/** What a call says of itself: its connection's address, and X-Forwarded-For as it came. */
export type Arrival = { remoteAddress: string | undefined; forwardedFor: string | undefined }

const UNKNOWN = 'unknown'

/**
 * Finds the address of a client. `trusted` (TOOLFERRY_TRUSTED_PROXIES: addresses and CIDRs) are the proxies before us: each
 * adds whom it serves to the end of X-Forwarded-For, so the last entry that is no proxy's is the client. What stands before it,
 * or came past every proxy, is the client's own invention.
 */
export function clientAddressOf(trusted: readonly string[]): (arrival: Arrival) => string {
  const proxies: EgressRules = parseRules(trusted, 'TOOLFERRY_TRUSTED_PROXIES')
  return ({ remoteAddress, forwardedFor = '' }) => {
    let client = plainAddress(remoteAddress ?? '')
    if (client === null) return UNKNOWN
    for (const hop of forwardedFor.split(',').reverse()) {
      if (!matchesAddress(proxies, client)) break
      const before = plainAddress(withoutPort(hop.trim()))
      if (before === null) break
      client = before
    }
    return client.toString()
  }
}

/** Whom a limit counts as one: an IPv4 address, or the /64 that one IPv6 customer has to himself. */
export function networkOf(client: string): string {
  const address = parseAddress(client)
  if (!(address instanceof ipaddr.IPv6)) return client
  return `${address.parts
    .slice(0, 4)
    .map((part) => part.toString(16))
    .join(':')}::/64`
}

function plainAddress(text: string): Address | null {
  const address = parseAddress(text)
  return address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress() ? address.toIPv4Address() : address
}

function withoutPort(hop: string): string {
  return hop.replace(/^(\[.*\]|[\d.]+):\d+$/, '$1')
}
