import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import mysql from 'mysql2/promise'
import { vi } from 'vitest'
import { freePort } from './mcp-servers.ts'

/** On 127.0.0.1, with a certificate for “localhost” of an authority of its own. */
export type OwnMysqlServer = {
  port: number
  /** As root, over its socket. */
  asRoot(sql: string): Promise<void>
  /** From now on its certificate is for this name. */
  certify(name: string): Promise<void>
  /** While this process trusts its authority. */
  whileTrusted<T>(work: () => Promise<T>): Promise<T>
  stop(): Promise<void>
}

const PATH = `${process.env.PATH}:/usr/sbin:/usr/local/sbin`

/** A server of the test's own, since the machine's has no TLS. TEST_MYSQLD names another program than `mariadbd`: MySQL's. */
export async function startOwnMysqlServer(): Promise<OwnMysqlServer> {
  const directory = mkdtempSync(join(tmpdir(), 'toolferry-mysqld-'))
  const file = (name: string): string => join(directory, name)
  const run = (command: string, ...options: string[]): void =>
    void execFileSync(command, options, { cwd: directory, env: { ...process.env, PATH }, stdio: 'pipe' })
  const openssl = (options: string): void => run('openssl', ...options.split(' '))
  const newKey = '-newkey rsa:2048 -nodes'
  openssl(`req -x509 ${newKey} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority.test`)
  const certify = (name: string): void => {
    openssl(`req ${newKey} -keyout server.key -out server.csr -subj /CN=${name}`)
    writeFileSync(file('san'), `subjectAltName=DNS:${name}`)
    openssl('x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile san')
  }
  certify('localhost')

  const program = process.env.TEST_MYSQLD ?? 'mariadbd'
  const places = ['--no-defaults', `--user=${userInfo().username}`, `--datadir=${file('data')}`]
  if (execFileSync(program, ['--version'], { encoding: 'utf8', env: { ...process.env, PATH } }).includes('MariaDB')) {
    run('mariadb-install-db', ...places, '--auth-root-authentication-method=normal', '--skip-test-db')
  } else {
    run(program, ...places, '--secure-file-priv=', '--initialize-insecure')
  }
  const port = await freePort()
  const options = [
    `--socket=${file('s')}`,
    `--port=${port}`,
    '--bind-address=127.0.0.1',
    `--ssl-ca=${file('ca.pem')}`,
    `--ssl-cert=${file('server.pem')}`,
    `--ssl-key=${file('server.key')}`,
    `--pid-file=${file('pid')}`,
    '--secure-file-priv=',
    '--innodb-buffer-pool-size=8M',
    '--performance-schema=OFF',
    '--loose-mysqlx=OFF',
  ]
  const server = spawn(program, [...places, ...options], { env: { ...process.env, PATH }, stdio: 'ignore' })
  const root = await vi.waitFor(
    () => mysql.createConnection({ socketPath: file('s'), user: 'root', multipleStatements: true }),
    { timeout: 120_000, interval: 100 },
  )
  return {
    port,
    asRoot: async (sql) => void (await root.query(sql)),
    certify: async (name) => {
      certify(name)
      await root.query('/*!80016 ALTER INSTANCE RELOAD TLS */ /*M! FLUSH SSL */')
    },
    whileTrusted: async (work) => {
      const before = getCACertificates('default')
      setDefaultCACertificates([...before, readFileSync(file('ca.pem'), 'utf8')])
      try {
        return await work()
      } finally {
        setDefaultCACertificates(before)
      }
    },
    stop: async () => {
      await root.end()
      if (server.exitCode === null) {
        server.kill('SIGTERM')
        await once(server, 'exit')
      }
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
