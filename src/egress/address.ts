import ipaddr from 'ipaddr.js'

/**
 * What an IP address is, seen through every way an IPv4 address can hide in an IPv6 one. Pure.
 * - `never`: cloud metadata, link-local, unspecified, multicast, broadcast, tunnels; no setting opens them.
 * - `loopback`: this machine.
 * - `special`: set aside by the IANA registries (documentation, benchmarking, reserved …); opened by an allow entry only.
 * - `private`: RFC 1918, carrier-grade NAT (RFC 6598), unique local IPv6.
 */
export type AddressClass = 'never' | 'loopback' | 'special' | 'private' | 'public'

export type Address = ipaddr.IPv4 | ipaddr.IPv6

export type Cidr = [Address, number]

/** Metadata and host-agent addresses outside link-local: Alibaba, Azure's wire server, Oracle, AWS (IMDS and its siblings), Google. */
const METADATA: Cidr[] = [
  ipaddr.parseCIDR('100.100.100.200/32'),
  ipaddr.parseCIDR('168.63.129.16/32'),
  ipaddr.parseCIDR('192.0.0.192/32'),
  ipaddr.parseCIDR('fd00:ec2::/32'),
  ipaddr.parseCIDR('fd20:ce::254/128'),
]

const NEVER = new Set([
  'unspecified',
  'broadcast',
  'multicast',
  'linkLocal',
  '6to4',
  'teredo',
  'deprecatedSiteLocal',
  'discard',
])
const PRIVATE = new Set(['private', 'carrierGradeNat', 'uniqueLocal'])

/** The address in `text` (an IP literal; a zone id is dropped), or null when it is not one. */
export function parseAddress(text: string): Address | null {
  const bare = text.replace(/^\[(.*)\]$/, '$1').replace(/%.*$/, '')
  if (ipaddr.IPv6.isValid(bare)) return ipaddr.IPv6.parse(bare)
  return ipaddr.IPv4.isValidFourPartDecimal(bare) ? ipaddr.IPv4.parse(bare) : null
}

/**
 * Every address that a packet to `address` may reach: itself, or what a translator makes of it. IPv4-mapped (RFC 4291), SIIT
 * (RFC 6145) and the well-known NAT64 prefix (RFC 6052) simply are the IPv4 address; the local-use NAT64 prefix (RFC 8215)
 * hides one at either of two places.
 */
export function reachableForms(address: Address): Address[] {
  if (address instanceof ipaddr.IPv4) return [address]
  const parts = address.parts
  const range = address.range()
  if (range === 'ipv4Mapped' || range === 'rfc6145' || (range === 'rfc6052' && parts[2] === 0))
    return [ipv4Of(parts, 6)]
  if (range === 'rfc6052') return [address, ipv4Of(parts, 6), rfc6052Of(parts)]
  return [address]
}

/** The class of one of the `reachableForms`. */
export function classify(address: Address): AddressClass {
  if (METADATA.some((cidr) => inCidr(address, cidr)) || isTunnel(address)) return 'never'
  const range: string = address.range()
  if (NEVER.has(range)) return 'never'
  if (range === 'loopback') return 'loopback'
  if (PRIVATE.has(range)) return 'private'
  return range === 'unicast' ? 'public' : 'special'
}

export function inCidr(address: Address, [network, bits]: Cidr): boolean {
  if (address instanceof ipaddr.IPv4) return network instanceof ipaddr.IPv4 && address.match(network, bits)
  return network instanceof ipaddr.IPv6 && address.match(network, bits)
}

/** IPv4-compatible (::a.b.c.d, RFC 4291 §2.5.5.1) and ISATAP (…:0:5efe:a.b.c.d, RFC 5214); 6to4 and Teredo have ranges of their own. */
function isTunnel(address: Address): boolean {
  if (address instanceof ipaddr.IPv4) return false
  const parts = address.parts
  const compatible = parts.slice(0, 6).every((part) => part === 0) && !((parts[6] ?? 0) === 0 && (parts[7] ?? 0) <= 1)
  const isatap = parts[5] === 0x5efe && (parts[4] === 0 || parts[4] === 0x200)
  return compatible || isatap
}

function ipv4Of(parts: number[], at: number): ipaddr.IPv4 {
  const high = parts[at] ?? 0
  const low = parts[at + 1] ?? 0
  return new ipaddr.IPv4([high >> 8, high & 0xff, low >> 8, low & 0xff])
}

/** A /48 prefix of RFC 6052 §2.2: two octets, the reserved octet u, two octets. */
function rfc6052Of(parts: number[]): ipaddr.IPv4 {
  const first = parts[3] ?? 0
  return new ipaddr.IPv4([first >> 8, first & 0xff, (parts[4] ?? 0) & 0xff, (parts[5] ?? 0) >> 8])
}
