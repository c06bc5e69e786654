import type { ClientRequest } from './client.ts'

const LOOPBACK_NAMES = new Set(['localhost', '127.0.0.1', '[::1]'])

/**
 * Whether a browser page of `origin` may call: our own origins, and for one on loopback its other spellings (localhost,
 * 127.0.0.1, [::1]) with the same scheme and port.
 */
export function isOwnOrigin(origin: string, ownOrigins: readonly string[]): boolean {
  if (ownOrigins.includes(origin)) return true
  if (!URL.canParse(origin)) return false
  const page = new URL(origin)
  // The spelling counts: no path, no trailing slash, nothing that a browser would not send.
  if (page.origin !== origin || !LOOPBACK_NAMES.has(page.hostname)) return false
  return ownOrigins.some((own) => {
    const url = new URL(own)
    return LOOPBACK_NAMES.has(url.hostname) && url.port === page.port && url.protocol === page.protocol
  })
}

/**
 * Whether a request without a credential may have come in by its `Host`. A page that rebinds its own DNS name to loopback
 * reaches us without an Origin (same-origin GET), but its name stays in `Host`. Elsewhere than on loopback a name proves
 * nothing, and a caller with a token is no such page.
 */
export function isOwnHost(req: ClientRequest, ownOrigins: readonly string[]): boolean {
  if (!isLoopbackAddress(req.socket.localAddress)) return true
  const host = req.headers.host ?? ''
  const url = `http://${host}`
  if (!URL.canParse(url)) return false
  return LOOPBACK_NAMES.has(new URL(url).hostname) || ownOrigins.some((own) => new URL(own).host === host)
}

function isLoopbackAddress(address: string | undefined): boolean {
  return address === '::1' || address?.startsWith('127.') === true || address?.startsWith('::ffff:127.') === true
}
