let guarded = false

/**
 * The MariaDB driver (3.4.5) leaves a rejection behind that nobody can handle whenever a connection ends between its log-in and its
 * first statements (lib/connection.js, authSucceedHandler), which would end this process: a database that is away or slow for a
 * moment must not. The pool is told of the same error and tries again. Any other unhandled rejection ends the process, as ever.
 */
export function surviveFailedConnects(): void {
  if (guarded) return
  guarded = true
  process.on('unhandledRejection', (reason) => {
    if (!isFailedConnect(reason)) throw reason
  })
}

/** An error of the driver, fatal to its connection, of which no statement of ours was the cause. */
function isFailedConnect(reason: unknown): boolean {
  return (
    reason instanceof Error &&
    reason.name === 'SqlError' &&
    'fatal' in reason &&
    reason.fatal === true &&
    'sql' in reason &&
    reason.sql === null
  )
}
