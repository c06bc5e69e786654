import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { commandLine, processStart } from './process-facts.ts'

/** What the supervisor of an embedded Temporal server leaves behind for the next one. */
export type PidRecord = {
  pid: number
  /** Start of process `pid`, so that a later process with the same id is not taken for it. */
  start: string | null
  port: number
  uiPort: number
  supervisorPid: number
  supervisorStart: string | null
}

/** What of an earlier supervisor is there. */
export type Survivor =
  | { found: 'nothing' }
  /** Another live Toolferry process looks after this data directory. */
  | { found: 'supervised'; supervisorPid: number }
  /** Our server, its product gone. */
  | { found: 'orphan'; record: PidRecord; host: string | null }

export function pidFilePath(dataDir: string): string {
  return join(dataDir, 'temporal.pid')
}

/** Synchronous: it is written in the very tick in which the server was started. */
export function writePidFile(dataDir: string, record: PidRecord): void {
  writeFileSync(pidFilePath(dataDir), `${JSON.stringify(record)}\n`, { mode: 0o600 })
}

export function removePidFile(dataDir: string): void {
  rmSync(pidFilePath(dataDir), { force: true })
}

/**
 * Reads the pid file and looks at the process it names. Only a process whose command line is that of a Temporal
 * development server on this very database file is ours; any other is none of our business.
 */
export async function findSurvivor(dataDir: string, dbPath: string): Promise<Survivor> {
  const record = readPidFile(dataDir)
  if (record === null) return { found: 'nothing' }
  if (record.supervisorStart !== null && (await processStart(record.supervisorPid)) === record.supervisorStart) {
    return { found: 'supervised', supervisorPid: record.supervisorPid }
  }
  const start = await processStart(record.pid)
  // The recorded start is null when the product died right after the launch; then the command line alone must do.
  if (start === null || (record.start !== null && record.start !== start)) return { found: 'nothing' }
  const line = await commandLine(record.pid)
  if (line === null || !isOurServer(line, dbPath)) return { found: 'nothing' }
  const port = numberOption(line, '--port')
  const uiPort = numberOption(line, '--ui-port')
  if (port === null || uiPort === null) return { found: 'nothing' }
  return { found: 'orphan', record: { ...record, port, uiPort, start }, host: textOption(line, '--ip') }
}

function isOurServer(line: string, dbPath: string): boolean {
  return line.includes(' server start-dev ') && `${line} `.includes(` --db-filename ${dbPath} `)
}

function textOption(line: string, name: string): string | null {
  return new RegExp(` ${name} (\\S+)`).exec(line)?.[1] ?? null
}

function numberOption(line: string, name: string): number | null {
  const text = textOption(line, name)
  return text === null ? null : Number(text)
}

function readPidFile(dataDir: string): PidRecord | null {
  try {
    const { pid, start, port, uiPort, supervisorPid, supervisorStart } = JSON.parse(
      readFileSync(pidFilePath(dataDir), 'utf8'),
    ) as PidRecord
    // 0 and negative numbers mean process groups to kill(2).
    if (!Number.isInteger(pid) || pid < 1) return null
    return { pid, start, port, uiPort, supervisorPid, supervisorStart }
  } catch {
    return null
  }
}
