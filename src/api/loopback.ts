import { classify, parseAddress } from '../egress/address.ts'

/** Whether a URL's host name is this machine's own: an address of loopback, or a name that is always one. */
export function isLoopback(hostname: string): boolean {
  const address = parseAddress(hostname.replace(/^\[|\]$/g, ''))
  if (address !== null) return classify(address) === 'loopback'
  return hostname === 'localhost' || hostname.endsWith('.localhost')
}
