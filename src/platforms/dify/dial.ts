import { isIP, Socket } from 'node:net'
import { ToolferryError } from '../../domain/errors.ts'
import type { DatabaseEndpoint, DifyDatabase } from './database.ts'

/** What sessions of every engine share: the way to the server, and how an abort is told. */

/** How long a cancelled statement may take to end before the connection is cut. */
export const CANCEL_GRACE_MS = 3_000

/**
 * Checks where the endpoint leads, and has `handshake` connect `socket` to the checked `address` and log in, within
 * `timeouts.connectMs`. A failure is mapped by `mapError`; an abort rejects with the signal's reason.
 */
export async function dialDatabase<T>(
  endpoint: DatabaseEndpoint,
  signal: AbortSignal,
  handshake: (socket: Socket, address: string) => Promise<T>,
  mapError: (thrown: unknown) => unknown,
): Promise<T> {
  const { options, egress, timeouts } = endpoint
  const socket = new Socket()
  const cut = (): void => void socket.destroy()
  const timer = setTimeout(
    () => socket.destroy(Object.assign(new Error('connect timeout'), { code: 'ETIMEDOUT' })),
    timeouts.connectMs,
  )
  signal.addEventListener('abort', cut, { once: true })
  try {
    throwIfAborted(signal)
    egress.checkHost(options.host, options.port, 'database.host')
    const address = await egress.checkedLookup?.(options.host, options.port, 'database.host')
    throwIfAborted(signal)
    return await handshake(socket, address?.address ?? options.host)
  } catch (error) {
    socket.destroy()
    throwIfAborted(signal)
    throw mapError(error)
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', cut)
  }
}

/** Throws what the aborted call should reject with: the signal's reason, or Timeout when a timer ran out. */
export function throwIfAborted(signal: AbortSignal): void {
  if (!signal.aborted) return
  const { reason } = signal
  if (reason instanceof DOMException && reason.name === 'TimeoutError') {
    throw new ToolferryError('Timeout', 'The call took too long and was ended.', { cause: reason })
  }
  throw reason
}

/** The name that the server's certificate must be of; an address has none to send. */
export function serverName(options: DifyDatabase): string | undefined {
  return isIP(options.host) === 0 ? options.host : undefined
}
