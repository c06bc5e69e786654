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

export type Logger = {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
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
