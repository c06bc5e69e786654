import { ToolferryError } from '../../domain/errors.ts'
import { UniqueViolation } from './database.ts'
import type { FailureContext } from './postgres-errors.ts'
import { CERTIFICATE_CODES, textOf } from './postgres-errors.ts'

/** MySQL's, MariaDB's and node's failures in the product's words. Nothing of the server's own text goes on except names of tables. */

type Fail = (type: ConstructorParameters<typeof ToolferryError>[0], text: string, field?: string) => ToolferryError

/** Server errors that say that it cannot serve us now: connections used up, shutting down, lost, not ready, Galera. */
const UNAVAILABLE = new Set([
  1040, 1042, 1043, 1053, 1077, 1079, 1080, 1158, 1159, 1160, 1161, 1184, 1203, 1205, 1213, 1226, 1927, 2002, 2003,
  2006, 2013, 4031,
])

/** A ToolferryError, or a UniqueViolation that the writer may get over. */
export function mapMysqlError(thrown: unknown, context: FailureContext): ToolferryError | UniqueViolation {
  if (thrown instanceof ToolferryError || thrown instanceof UniqueViolation) return thrown
  const code = textOf(thrown, 'code')
  const errno = errnoOf(thrown)
  const at = `${context.host}:${context.port}`
  const fail: Fail = (type, text, field) =>
    new ToolferryError(type, text, field === undefined ? { cause: thrown } : { cause: thrown, field })

  if (code === 'HANDSHAKE_NO_SSL_SUPPORT') {
    return fail(
      'InvalidDesiredState',
      `The database at ${at} does not offer TLS. Set tls to “prefer” or “disable”.`,
      'database.tls',
    )
  }
  // The driver hides node's code behind its own.
  if (
    CERTIFICATE_CODES.test(code) ||
    (code === 'HANDSHAKE_SSL_ERROR' && /certificate/i.test(textOf(thrown, 'message')))
  ) {
    return fail(
      'InvalidDesiredState',
      `The certificate of the database at ${at} could not be verified. Trust its CA (NODE_EXTRA_CA_CERTS) and give the name it is for, or set tls to “require”.`,
      'database.tls',
    )
  }
  if (errno !== null && errno >= 1000) return mapServerError(errno, textOf(thrown, 'sqlMessage'), context, fail)
  if (context.phase === 'connect') {
    return fail(
      'Unavailable',
      `The database at ${at} could not be reached (${whyNotReached(code)}). Check host and port, and that the port is published.`,
    )
  }
  return fail('Unavailable', `The connection to the database at ${at} was lost.`)
}

function mapServerError(
  errno: number,
  message: string,
  context: FailureContext,
  fail: Fail,
): ToolferryError | UniqueViolation {
  const at = `${context.host}:${context.port}`
  switch (errno) {
    case 1045:
    case 1698:
    case 1862:
    case 3118:
    case 3955:
    case 4151:
      return fail(
        'CredentialRefused',
        `The database at ${at} refused user “${context.user}” or its password.${context.tls === 'disable' ? ' Some users may come encrypted only: then set tls to “require”.' : ''}`,
      )
    case 1129:
    case 1130:
      return fail(
        'CredentialRefused',
        `The database at ${at} does not let user “${context.user}” in from here (its host is not allowed).`,
      )
    case 1251:
    case 2059:
      return fail(
        'UnsupportedVersion',
        `The database at ${at} wants a way to log in that is not supported. Give the user a password.`,
      )
    case 3159:
    case 4152:
      return fail(
        'InvalidDesiredState',
        `The database at ${at} takes encrypted connections only. Set tls to “require”.`,
        'database.tls',
      )
    case 1049:
      return fail('InvalidDesiredState', `There is no database “${context.database}” at ${at}.`, 'database.database')
    case 1044:
      return fail(
        'Forbidden',
        `There is no database “${context.database}” at ${at}, or the user “${context.user}” has no right to anything in it.`,
        'database.database',
      )
    case 1142:
    case 1143:
    case 1227:
    case 1370:
      return fail(
        'Forbidden',
        `The database user “${context.user}” lacks ${denied(message)}. Grant it, then try again.`,
      )
    case 1146:
      return fail(
        'InvalidDesiredState',
        'This is not Dify’s database: a table is missing. Dify’s own database is usually called “dify”; did you give “dify_plugin”?',
        'database.database',
      )
    case 1054:
    case 1048:
    case 1364:
      return fail(
        'UnsupportedVersion',
        'This Dify’s tables changed while they were in use. Check the platform, then sync again.',
      )
    case 1064:
      return fail(
        'UnsupportedVersion',
        `The database at ${at} does not understand Toolferry. MySQL 8 or MariaDB 10.5 is needed, or newer.`,
      )
    case 1062:
    case 1586: {
      const key = keyOf(message)
      return new UniqueViolation(
        key,
        fail('Conflict', `Another MCP provider took the place at the same moment (${key}). Sync again.`),
      )
    }
    case 1264:
    case 1406:
      return fail('InvalidDesiredState', 'A value is longer than Dify’s column takes.')
    case 1366:
    case 3854:
    case 1267:
    case 1270:
    case 1271:
      return fail(
        'InvalidDesiredState',
        'Dify’s table cannot hold a character of this text: its character set is not utf8mb4.',
      )
    case 1153:
      return fail(
        'InvalidDesiredState',
        'The tools are larger than the database takes in one statement. Raise max_allowed_packet there.',
      )
    case 1290:
    case 1792:
    case 1836:
      return fail(
        'InvalidDesiredState',
        'The database takes no writes (a replica?). Give the primary’s host.',
        'database.host',
      )
    case 1665:
      return fail(
        'InvalidDesiredState',
        'The database writes its binary log by statement (binlog_format=STATEMENT). Set MIXED or ROW there.',
      )
    case 1205:
      return fail('Timeout', 'Somebody else is changing the same provider and did not finish in time.')
    case 1213:
      return fail('Unavailable', 'The database ended the transaction in favour of another one.')
    case 1317:
    case 1969:
    case 3024:
      return fail('Timeout', `A statement at ${at} took too long and was ended.`)
    default:
      if (UNAVAILABLE.has(errno)) return fail('Unavailable', `The database at ${at} is not available now (${errno}).`)
      return fail('Bug', `The database answered with an unexpected error (${errno}).`)
  }
}

/** Of "INSERT command denied to user 'u'@'h' for table `db`.`tenants`" or "… for column 'c' in table 't'"; may be in the server's language. */
function denied(message: string): string {
  const privilege = /^([A-Z, ]{3,40}) command denied/.exec(message)?.[1] ?? 'a privilege'
  const names = [...message.replace(/'[^']*'@'[^']*'/, '').matchAll(/[`'"]([A-Za-z0-9_]+)[`'"]/g)].map(
    (match) => match[1],
  )
  const table = names.at(-1) ?? 'one of Dify’s tables'
  return names.length > 1 && / column /.test(message)
    ? `${privilege} on ${table} (${names[0]})`
    : `${privilege} on ${table}`
}

/** "… for key 'tool_mcp_providers.unique_mcp_provider_name'"; MariaDB names no table. The value before it is not told. */
function keyOf(message: string): string {
  const last = /'([^']*)'\s*$/.exec(message)?.[1] ?? ''
  const key = last.slice(last.lastIndexOf('.') + 1)
  return /^[A-Za-z0-9_]{1,64}$/.test(key) ? key : 'a unique key'
}

function whyNotReached(code: string): string {
  if (code === 'ETIMEDOUT') return 'ETIMEDOUT; a PostgreSQL there would be as silent'
  if (code === '' || code.startsWith('PROTOCOL_') || code.startsWith('HANDSHAKE_'))
    return 'it does not answer as MySQL does'
  return code
}

function errnoOf(thrown: unknown): number | null {
  const value = typeof thrown === 'object' && thrown !== null && 'errno' in thrown ? thrown.errno : null
  return typeof value === 'number' ? value : null
}
