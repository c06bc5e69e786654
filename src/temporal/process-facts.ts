import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)

/**
 * What tells a process from a later one with the same id (its start, as the system writes it), or null when there is no
 * such live process. A zombie counts as gone: nobody may reap the orphans of a container.
 */
export async function processStart(pid: number): Promise<string | null> {
  if (process.platform === 'linux') {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null)
    if (stat === null) return null
    // The name in brackets may hold anything, so count from the last bracket: state is field 3, starttime field 22 (proc(5)).
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    if (fields[0] === 'Z' || fields[0] === 'X') return null
    return fields[19] ?? null
  }
  const [state, ...start] = (await ps(pid, 'stat=,lstart=')).trim().split(/\s+/)
  return state === undefined || state === '' || state.startsWith('Z') ? null : start.join(' ')
}

/** A process's command line with its parts joined by single spaces; null when it cannot be known. */
export async function commandLine(pid: number): Promise<string | null> {
  if (process.platform === 'linux') {
    const raw = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    return raw === '' ? null : raw.split('\0').join(' ').trim()
  }
  const line = (await ps(pid, 'command=')).trim()
  return line === '' ? null : line
}

/** Without `ps` (Windows) nothing can be known, and what is not known is left alone. */
async function ps(pid: number, columns: string): Promise<string> {
  const { stdout } = await run('ps', ['-ww', '-o', columns, '-p', String(pid)]).catch(() => ({ stdout: '' }))
  return stdout
}
