import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { Engine } from './dify-shapes.ts'

/**
 * Where the database servers of tests and benchmarks are. TEST_MYSQL_URL (`mysql://root:password@host:port`, MySQL or MariaDB) and
 * TEST_POSTGRES_URL (`postgresql://…`) name others than this machine's; the user there may make databases and users.
 */

export type ServerAccount = { host: string; port: number; user: string; password: string }

export const DATABASE_SERVERS: Record<Engine, ServerAccount> = {
  mysql: accountOf('TEST_MYSQL_URL', 'mysql://root@127.0.0.1:3306'),
  postgresql: accountOf('TEST_POSTGRES_URL', 'postgresql://postgres@127.0.0.1:5432'),
}

/** What DATABASE_URL says for a store on the server of MySQL's kind. */
export function storeUrl(database: string): string {
  const { host, port, user, password } = DATABASE_SERVERS.mysql
  const secret = password === '' ? '' : `:${encodeURIComponent(password)}`
  return `mysql://${encodeURIComponent(user)}${secret}@${host}:${port}/${database}`
}

/** The same, over a proxy of the test's own on this port of this machine. */
export function throughPort(databaseUrl: string, port: number): string {
  const url = new URL(databaseUrl)
  url.hostname = '127.0.0.1'
  url.port = String(port)
  return url.href
}

/** What the client `mysql` or `mysqldump` prints, asked of the server of MySQL's kind. */
export async function runMysqlClient(
  command: 'mysql' | 'mysqldump',
  options: string[],
  encoding: BufferEncoding = 'utf8',
): Promise<string> {
  const { host, port, user, password } = DATABASE_SERVERS.mysql
  const server = [`--host=${host}`, `--port=${port}`, `--user=${user}`]
  const { stdout } = await promisify(execFile)(command, [...server, ...options], {
    encoding,
    env: { ...process.env, MYSQL_PWD: password },
    maxBuffer: 256 * 1024 * 1024,
  })
  return stdout
}

function accountOf(variable: string, otherwise: string): ServerAccount {
  const given = process.env[variable]
  const url = new URL(given === undefined || given === '' ? otherwise : given)
  if (url.port === '') throw new Error(`${variable} names no port`)
  return {
    host: url.hostname,
    port: Number(url.port),
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
  }
}
