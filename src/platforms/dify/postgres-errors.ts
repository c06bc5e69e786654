import { ToolferryError } from '../../domain/errors.ts'
import { type TlsMode, UniqueViolation } from './database.ts'

/** PostgreSQL's and node's failures in the product's words. Nothing of the server's own text goes on except names of tables. */

/** Certificate faults as node reports them. */
export const CERTIFICATE_CODES = /^(ERR_TLS_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_(VERIFY|GET_ISSUER))/

export type FailureContext = {
  host: string
  port: number
  user: string
  database: string
  tls?: TlsMode
  phase: 'connect' | 'query'
}

/** A ToolferryError, or a UniqueViolation that the writer may get over. */
export function mapPostgresError(thrown: unknown, context: FailureContext): ToolferryError | UniqueViolation {
  if (thrown instanceof ToolferryError || thrown instanceof UniqueViolation) return thrown
  const code = textOf(thrown, 'code')
  const message = textOf(thrown, 'message')
  const at = `${context.host}:${context.port}`
  const fail = (type: ConstructorParameters<typeof ToolferryError>[0], text: string, field?: string): ToolferryError =>
    new ToolferryError(type, text, field === undefined ? { cause: thrown } : { cause: thrown, field })

  if (/^[0-9A-Z]{5}$/.test(code) && code !== 'EPIPE') return mapSqlState(thrown, code, message, context, fail)

  if (message.includes('does not support SSL')) {
    return fail(
      'InvalidDesiredState',
      `The database at ${at} does not offer TLS. Set tls to “prefer” or “disable”.`,
      'database.tls',
    )
  }
  if (CERTIFICATE_CODES.test(code)) {
    return fail(
      'InvalidDesiredState',
      `The certificate of the database at ${at} could not be verified (${code}). Trust its CA (NODE_EXTRA_CA_CERTS), or set tls to “require”.`,
      'database.tls',
    )
  }
  if (message === 'Query read timeout') return fail('Timeout', `The database at ${at} did not answer in time.`)
  if (context.phase === 'connect') {
    const why = code === '' ? 'it does not answer as PostgreSQL does; is it MySQL?' : code
    return fail(
      'Unavailable',
      `The database at ${at} could not be reached (${why}). Check host and port, and that the port is published.`,
    )
  }
  return fail('Unavailable', `The connection to the database at ${at} was lost.`)
}

function mapSqlState(
  thrown: unknown,
  code: string,
  message: string,
  context: FailureContext,
  fail: (type: ConstructorParameters<typeof ToolferryError>[0], text: string, field?: string) => ToolferryError,
): ToolferryError | UniqueViolation {
  const at = `${context.host}:${context.port}`
  switch (code) {
    case '28P01':
      return fail('CredentialRefused', `The database at ${at} refused user “${context.user}” or its password.`)
    case '28000':
      return fail(
        'CredentialRefused',
        `The database at ${at} does not let user “${context.user}” into “${context.database}” from here (unknown user, or pg_hba.conf).`,
      )
    case '3D000':
      return fail('InvalidDesiredState', `There is no database “${context.database}” at ${at}.`, 'database.database')
    case '42501':
      return fail(
        'Forbidden',
        `The database user “${context.user}” lacks a privilege on ${deniedName(message)}. Grant it, then try again.`,
      )
    case '42P01':
    case '3F000':
      return fail(
        'InvalidDesiredState',
        'This is not Dify’s database: a table is missing. Dify’s own database is usually called “dify”; did you give “dify_plugin”?',
        'database.database',
      )
    case '42703':
    case '23502':
      return fail(
        'UnsupportedVersion',
        'This Dify’s tables changed while they were in use. Check the platform, then sync again.',
      )
    case '23505': {
      const constraint = textOf(thrown, 'constraint')
      return new UniqueViolation(
        constraint,
        fail('Conflict', `Another MCP provider took the place at the same moment (${constraint}). Sync again.`),
      )
    }
    case '22001':
      return fail('InvalidDesiredState', 'A value is longer than Dify’s column takes.')
    case '22P02':
      return fail('TargetGone', 'The workspace’s id is not one of Dify’s.')
    case '25006':
      return fail(
        'InvalidDesiredState',
        'The database takes no writes (a standby?). Give the primary’s host.',
        'database.host',
      )
    case '57014':
      return fail('Timeout', `A statement at ${at} took too long and was ended.`)
    case '55P03':
      return fail('Timeout', 'Somebody else is changing the same provider and did not finish in time.')
    case '40001':
    case '40P01':
      return fail('Unavailable', 'The database ended the transaction in favour of another one.')
    case '53300':
      return fail('Unavailable', `The database at ${at} has no connection left.`)
    default:
      if (/^(08|53|57|58)/.test(code))
        return fail('Unavailable', `The database at ${at} is not available now (${code}).`)
      return fail('Bug', `The database answered with an unexpected error (SQLSTATE ${code}).`)
  }
}

/** The relation's name from "permission denied for table tenants"; the message may be in the server's language. */
function deniedName(message: string): string {
  const name = /(?:for|on) (table|relation|column|schema|database|sequence) "?([A-Za-z0-9_]+)"?/.exec(message)
  return name === null ? 'one of Dify’s tables' : `${name[1]} ${name[2]}`
}

export function textOf(thrown: unknown, key: string): string {
  if (typeof thrown !== 'object' || thrown === null) return ''
  const value = (thrown as Record<string, unknown>)[key]
  return typeof value === 'string' ? value : ''
}
