import { pino } from 'pino'

/** Keys whose values never reach a log, wherever they stand in what is logged. */
const SECRET_KEYS = [
  'password',
  'cookie',
  'token',
  'authorization',
  'Authorization',
  'headers',
  'passThroughHeaders',
  'credential',
  'apiKey',
  'masterKey',
  'sealedCredential',
  'url',
]

/** What was thrown goes under `err`: of an Error anywhere else, pino writes `{}`. */
export type LogFields = { readonly [name: string]: unknown; error?: string }

export type Logger = {
  debug(fields: LogFields, message: string): void
  info(fields: LogFields, message: string): void
  warn(fields: LogFields, message: string): void
  error(fields: LogFields, message: string): void
  child(bindings: object): Logger
}

/** A JSON logger on stderr that censors values by key, two levels deep. */
export function createLogger(options: { level: string; role: string }): Logger {
  return pino(
    {
      level: options.level,
      base: { role: options.role },
      redact: { paths: SECRET_KEYS.flatMap((key) => [key, `*.${key}`, `*.*.${key}`]), censor: '[redacted]' },
    },
    pino.destination(2),
  )
}
