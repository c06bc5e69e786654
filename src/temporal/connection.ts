import { readFile } from 'node:fs/promises'
import { getCACertificates } from 'node:tls'
import { Client, Connection, type TLSConfig } from '@temporalio/client'
import type { NativeConnection } from '@temporalio/worker'
import type { Config } from '../config.ts'
import { ToolferryError } from '../domain/errors.ts'

export type TemporalConnectOptions = {
  /** `host:port`. */
  address: string
  namespace: string
  tls?: Config['temporal']['tls']
  apiKey?: string | null
  /** Default 10 s. */
  timeoutMs?: number
}

const CONNECT_TIMEOUT_MS = 10_000
/** gRPC's own two minutes would be added to every outage that lasted for some. */
const MAX_RECONNECT_PAUSE_MS = 10_000

export type TemporalClient = { connection: Connection; client: Client }

/**
 * A client of the cluster at `address`, proven by describing the namespace. Throws `Unavailable` (nobody answers),
 * `CredentialRefused` (API key or certificate), `TargetGone` (no such namespace) or `InvalidDesiredState` (a TLS file);
 * every message names the address, none the key. The caller closes `connection`.
 */
export async function connectClient(options: TemporalConnectOptions): Promise<TemporalClient> {
  const { address, namespace } = options
  const connectTimeout = options.timeoutMs ?? CONNECT_TIMEOUT_MS
  const security = await securityOptions(options)
  let connection: Connection
  try {
    connection = await Connection.connect({
      address,
      connectTimeout,
      channelArgs: { 'grpc.max_reconnect_backoff_ms': MAX_RECONNECT_PAUSE_MS },
      ...security,
    })
  } catch (error) {
    throw connectionError(error, options)
  }
  try {
    await proveConnection(connection, options)
  } catch (error) {
    await connection.close()
    throw error
  }
  return { connection, client: new Client({ connection, namespace }) }
}

/** Describes the namespace, which the server reads from its database. Throws as connectClient does. */
export async function proveConnection(connection: Connection, options: TemporalConnectOptions): Promise<void> {
  const { namespace, timeoutMs = CONNECT_TIMEOUT_MS } = options
  try {
    await connection.withDeadline(Date.now() + timeoutMs, () =>
      connection.workflowService.describeNamespace({ namespace }),
    )
  } catch (error) {
    throw connectionError(error, options)
  }
}

/** The worker's own connection (Core). Throws as connectClient does. The caller closes it, after the worker has ended. */
export async function connectWorker(options: TemporalConnectOptions): Promise<NativeConnection> {
  // Loaded here only: the api role has no use for the native module.
  const worker = await import('@temporalio/worker')
  // Core's own errors say little and it waits long: the client finds out first what is wrong.
  const { connection } = await connectClient(options)
  await connection.close()
  const security = await securityOptions(options)
  // Core asks the system whom to trust, and a slim image has no such list: it is told what Node.js trusts, NODE_EXTRA_CA_CERTS included.
  if (security.tls) security.tls.serverRootCACertificate ??= Buffer.from(getCACertificates('default').join('\n'))
  try {
    return await worker.NativeConnection.connect({ address: options.address, ...security })
  } catch (error) {
    throw connectionError(error, options)
  }
}

async function securityOptions({
  tls,
  apiKey,
}: TemporalConnectOptions): Promise<{ tls?: TLSConfig | false; apiKey?: string }> {
  return {
    // An explicit false, because the SDK takes TLS for granted with an API key.
    ...(tls === undefined ? {} : { tls: tls.enabled ? await readTls(tls) : false }),
    ...(apiKey === undefined || apiKey === null ? {} : { apiKey }),
  }
}

async function readTls(tls: Config['temporal']['tls']): Promise<TLSConfig> {
  if ((tls.certPath === null) !== (tls.keyPath === null)) {
    throw new ToolferryError(
      'InvalidDesiredState',
      'TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH must be set together.',
    )
  }
  const ca = await readTlsFile('TEMPORAL_TLS_SERVER_CA_CERT_PATH', tls.caPath)
  const crt = await readTlsFile('TEMPORAL_TLS_CLIENT_CERT_PATH', tls.certPath)
  const key = await readTlsFile('TEMPORAL_TLS_CLIENT_KEY_PATH', tls.keyPath)
  return {
    ...(tls.serverName === null ? {} : { serverNameOverride: tls.serverName }),
    ...(ca === null ? {} : { serverRootCACertificate: ca }),
    ...(crt === null || key === null ? {} : { clientCertPair: { crt, key } }),
  }
}

async function readTlsFile(variable: string, path: string | null): Promise<Buffer | null> {
  if (path === null) return null
  try {
    return await readFile(path)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'error'
    throw new ToolferryError('InvalidDesiredState', `${variable}: ${path} cannot be read (${code}).`, {
      field: variable,
    })
  }
}

/** gRPC status codes (grpc.io/docs/guides/status-codes). */
const NOT_FOUND = 5
const PERMISSION_DENIED = 7
const UNAUTHENTICATED = 16

function connectionError(error: unknown, { address, namespace }: TemporalConnectOptions): ToolferryError {
  if (error instanceof ToolferryError) return error
  const code = grpcCode(error)
  if (code === NOT_FOUND) {
    return new ToolferryError(
      'TargetGone',
      `The Temporal cluster at ${address} has no namespace "${namespace}". Create it there, or set TEMPORAL_NAMESPACE.`,
    )
  }
  if (code === UNAUTHENTICATED || code === PERMISSION_DENIED) {
    return new ToolferryError(
      'CredentialRefused',
      `The Temporal cluster at ${address} refused our credential for namespace "${namespace}". Check TEMPORAL_API_KEY and TEMPORAL_TLS_*.`,
    )
  }
  return new ToolferryError(
    'Unavailable',
    `The Temporal cluster at ${address} does not answer. Check TEMPORAL_ADDRESS, that it runs, and whether it wants TLS (TEMPORAL_TLS).`,
    { cause: error },
  )
}

/** The SDK wraps gRPC's error; its code is on the error or on a cause. */
function grpcCode(error: unknown): number | null {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ('code' in at && typeof at.code === 'number') return at.code
  }
  return null
}
