import { readFile, rm, writeFile } from 'node:fs/promises'
import { pathToFileURL } from 'node:url'
import { PrismaLibSql } from '@prisma/adapter-libsql'
import { ConfigError } from '../config.ts'

/**
 * One process a SQLite file. The lock is SQLite's own exclusive lock on an empty database beside the store: the operating
 * system drops it with the process, however that ends, and a recycled pid means nothing to it. The pid stands in a file
 * of its own for the message only. (Nothing here may open the lock file itself: closing any handle of it would drop the
 * lock, as POSIX has it.)
 */
export async function lockSqliteFile(path: string): Promise<() => Promise<void>> {
  const pidPath = `${path}.pid`
  const url = pathToFileURL(`${path}.lock`).href
  const connection = new PrismaLibSql({ url }).createClient({ url, timeout: 0 })
  try {
    await connection.execute('PRAGMA journal_mode = DELETE')
    await connection.execute('BEGIN EXCLUSIVE')
  } catch (error) {
    connection.close()
    if (!isBusy(error)) throw error
    const pid = await readFile(pidPath, 'utf8').catch(() => '')
    const who = /^\d+$/.test(pid.trim()) ? `process ${pid.trim()}` : 'another process'
    throw new ConfigError(
      `${path} is in use by ${who}. A file: store belongs to one process: stop that one first, or use MySQL (DATABASE_URL=mysql://…) for several processes.`,
    )
  }
  await writeFile(pidPath, `${process.pid}\n`)
  return async () => {
    await rm(pidPath, { force: true })
    await connection.execute('ROLLBACK')
    connection.close()
  }
}

function isBusy(error: unknown): boolean {
  return (
    error instanceof Error && 'code' in error && typeof error.code === 'string' && error.code.startsWith('SQLITE_BUSY')
  )
}
