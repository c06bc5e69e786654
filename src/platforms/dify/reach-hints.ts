import { lookup } from 'node:dns/promises'
import { type AddressClass, classify, parseAddress, reachableForms } from '../../egress/address.ts'

/**
 * Whether Dify can call the gateway at all, as far as that can be told from here: Dify's SSRF proxy (squid) lets HTTPS pass on
 * port 443 only, HTTP on few low ports, and since 1.15 no private address (dify.md §5.4, §5.5).
 */
export async function reachHints(gatewayUrl: string, options: { deniesPrivate: boolean }): Promise<string[]> {
  if (!URL.canParse(gatewayUrl)) return []
  const { protocol, hostname, port: givenPort } = new URL(gatewayUrl)
  const host = hostname.replace(/^\[(.*)\]$/, '$1')
  const port = givenPort === '' ? (protocol === 'https:' ? 443 : 80) : Number(givenPort)
  const hints: string[] = []
  const addresses = await addressesOf(host)
  const classes = new Set(addresses.map(classOf))

  if (classes.has('loopback')) {
    hints.push(
      `The gateway’s address ${host}:${port} is this machine’s own: for Dify in containers “localhost” is the container itself. Give the ` +
        'platform a gateway URL that Dify’s api and worker containers reach (the host’s address, or a name in a shared network).',
    )
  }
  if (options.deniesPrivate && (classes.has('private') || classes.has('loopback'))) {
    const ways = addresses
      .filter((address) => classOf(address) !== 'public')
      .map((address) => `${address}/${address.includes(':') ? 128 : 32}`)
    const byName = parseAddress(host) === null ? ` (or SSRF_PROXY_ALLOW_PRIVATE_DOMAINS=${host})` : ''
    hints.push(
      `Dify 1.15 and later deny private addresses, and the gateway’s is one. In Dify’s .env set SSRF_PROXY_ALLOW_PRIVATE_IPS=` +
        `${ways.join(',')}${byName}, then recreate its ssrf_proxy container.`,
    )
  }
  if (addresses.length === 0) {
    hints.push(`The gateway’s name ${host} does not resolve here. Make sure that it does in Dify’s containers.`)
  }
  if (protocol === 'https:' && port !== 443) {
    hints.push(
      `Dify’s SSRF proxy lets HTTPS pass on port 443 only, and the gateway’s is ${port}: put it on 443, or allow the port in ` +
        'docker/ssrf_proxy/squid.conf.template (acl SSL_ports port 1025-65535) and recreate ssrf_proxy.',
    )
  }
  if (protocol === 'http:' && port !== 80 && port !== 443 && port < 1025) {
    hints.push(`Dify’s SSRF proxy does not let HTTP pass on port ${port}: use 80, or one from 1025 on.`)
  }
  return hints
}

async function addressesOf(host: string): Promise<string[]> {
  if (parseAddress(host) !== null) return [host]
  try {
    return (await lookup(host, { all: true })).map(({ address }) => address)
  } catch {
    return []
  }
}

function classOf(text: string): AddressClass {
  const address = parseAddress(text)
  if (address === null) return 'public'
  return reachableForms(address)
    .map(classify)
    .reduce((worst, each) => (worst === 'public' ? each : worst), 'public')
}
