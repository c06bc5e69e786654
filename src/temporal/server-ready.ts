import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { Connection } from '@temporalio/client'
import { msToTs } from '@temporalio/common/lib/time.js'
import { request } from 'undici'

const RETENTION_MS = 30 * 24 * 60 * 60 * 1000

export type ReadyOptions = {
  host: string
  port: number
  uiPort: number
  namespace: string
  /** Ends the waiting: the server died, or the product stops. */
  signal: AbortSignal
}

/**
 * Resolves once the frontend serves the namespace, closed runs are kept 30 days, and the Web UI answers. Rejects when
 * `signal` aborts.
 */
export async function waitUntilReady(options: ReadyOptions): Promise<void> {
  const { host, port, uiPort, namespace, signal } = options
  // gRPC backs off for a second after a refused connection; a TCP look first is quicker.
  await until(() => accepts(host, port), signal)
  await until(() => keepsRuns(`${host}:${port}`, namespace), signal)
  await until(() => answers(`http://${host}:${uiPort}/`), signal)
}

async function until(holds: () => Promise<boolean>, signal: AbortSignal): Promise<void> {
  while (!(await holds())) await delay(100, undefined, { signal })
}

/** Describes the namespace (made if it is not there) and sets its retention; false while the server cannot. */
async function keepsRuns(address: string, namespace: string): Promise<boolean> {
  let connection: Connection | null = null
  try {
    connection = await Connection.connect({ address, connectTimeout: 3_000 })
    const service = connection.workflowService
    const described = await connection.withDeadline(Date.now() + 3_000, () =>
      service.describeNamespace({ namespace }).catch((error: { code?: number }) => {
        if (error.code === GRPC_NOT_FOUND) return null
        throw error
      }),
    )
    const retention = msToTs(RETENTION_MS)
    if (described === null) {
      await service.registerNamespace({ namespace, workflowExecutionRetentionPeriod: retention })
      return false
    }
    if (!described.config?.workflowExecutionRetentionTtl?.seconds?.eq(retention.seconds ?? 0)) {
      await service.updateNamespace({ namespace, config: { workflowExecutionRetentionTtl: retention } })
    }
    return true
  } catch {
    return false
  } finally {
    await connection?.close()
  }
}

const GRPC_NOT_FOUND = 5

function accepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 1_000 })
    const done = (open: boolean) => {
      socket.destroy()
      resolve(open)
    }
    socket.once('connect', () => done(true))
    socket.once('timeout', () => done(false))
    socket.once('error', () => done(false))
  })
}

async function answers(url: string): Promise<boolean> {
  try {
    const { statusCode, body } = await request(url, { headersTimeout: 2_000, bodyTimeout: 2_000 })
    await body.dump()
    return statusCode < 500
  } catch {
    return false
  }
}
