import { ConfigError, type Role, readConfig } from './config.ts'
import { ToolferryError } from './domain/errors.ts'
import type { Running } from './roles/running.ts'
import { createLogger } from './telemetry/logger.ts'

const ROLES: readonly Role[] = ['api', 'worker', 'gateway', 'all']

async function main(): Promise<void> {
  const role = ROLES.find((known) => known === (process.argv[2] ?? 'all'))
  if (role === undefined)
    throw new ConfigError(`Usage: node src/main.ts <role>, where role is one of ${ROLES.join(', ')}.`)
  // The data directory holds keys and databases: nobody else's business.
  process.umask(0o077)
  const { config, secrets } = readConfig(role)
  const logger = createLogger({ level: config.logLevel, role })
  const stop = new AbortController()
  const stopped = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => {
        stop.abort()
        resolve()
      })
    }
  })

  const say = (line: string) => process.stdout.write(`${line}\n`)
  const options = { signal: stop.signal, onProgress: say }
  const running = await start(role)
  running.ready.then(
    // A process that serves on behalf of another one leaves the saying to that one.
    (lines) => lines.length > 0 && say(['Toolferry is ready.', ...lines.map((line) => `  ${line}`)].join('\n')),
    (error: unknown) => {
      if (stop.signal.aborted) return
      process.stderr.write(`${explain(error)}\n`)
      process.exitCode = 1
      process.emit('SIGTERM')
    },
  )
  await stopped
  await running.close()

  // Each role loads only what it needs: the gateway no Temporal, the worker no API.
  async function start(wanted: Role): Promise<Running> {
    switch (wanted) {
      case 'all':
        return await (await import('./roles/all.ts')).runAll(config, secrets, logger, options)
      case 'api':
        return await (await import('./roles/api.ts')).runApi(config, secrets, logger, options)
      case 'worker':
        return await (await import('./roles/worker.ts')).runWorker(config, secrets, logger, options)
      case 'gateway':
        return await (await import('./roles/gateway.ts')).runGateway(config, secrets, logger, options)
    }
  }
}

/** What went wrong at the start, for a person: our own errors by their message, anything else with its stack. */
function explain(error: unknown): string {
  if (error instanceof ConfigError || error instanceof ToolferryError) return error.message
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

try {
  await main()
} catch (error) {
  process.stderr.write(`${explain(error)}\n`)
  process.exitCode = 1
}
// Everything is closed. Temporal's native runtime, given up while it began, now and then keeps a process from ending by itself.
process.exit()
