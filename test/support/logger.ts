import type { Logger } from '../../src/telemetry/logger.ts'

export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLogger,
}

/** A logger that keeps what it was told, for tests that look at it. */
export function recordingLogger(): { logger: Logger; lines: { level: string; fields: object; message: string }[] } {
  const lines: { level: string; fields: object; message: string }[] = []
  const keep = (level: string) => (fields: object, message: string) => void lines.push({ level, fields, message })
  const logger: Logger = {
    debug: keep('debug'),
    info: keep('info'),
    warn: keep('warn'),
    error: keep('error'),
    child: () => logger,
  }
  return { logger, lines }
}
