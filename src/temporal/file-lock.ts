import { randomUUID } from 'node:crypto'
import { link, readFile, rm, writeFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { processStart } from './process-facts.ts'

type Holder = { pid: number; start: string | null }

/**
 * Runs `work` while holding the lock file `path`; waits while a live process of this machine holds it (`onWait` is told
 * its id once). A lock whose holder is dead is taken over. Two waiters may take over the same dead lock at once, so
 * `work` must stay correct (only slower) when done twice.
 */
export async function withFileLock<T>(path: string, onWait: (pid: number) => void, work: () => Promise<T>): Promise<T> {
  const mine = `${path}.${randomUUID()}`
  const holder: Holder = { pid: process.pid, start: await processStart(process.pid) }
  await writeFile(mine, JSON.stringify(holder))
  try {
    let told = false
    // link() makes the lock appear with its content in one step.
    while (!(await tryLink(mine, path))) {
      const other = await readHolder(path)
      if (other !== null && (await processStart(other.pid)) !== other.start) {
        await rm(path, { force: true })
        continue
      }
      if (other !== null && !told) {
        told = true
        onWait(other.pid)
      }
      await delay(300)
    }
  } finally {
    await rm(mine, { force: true })
  }
  try {
    return await work()
  } finally {
    await rm(path, { force: true })
  }
}

async function tryLink(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

/** null: gone in the meantime. What cannot be read as a holder counts as a dead one. */
async function readHolder(path: string): Promise<Holder | null> {
  const text = await readFile(path, 'utf8').catch(() => null)
  if (text === null) return null
  try {
    const { pid, start } = JSON.parse(text) as Holder
    return { pid, start }
  } catch {
    return { pid: 0, start: 'unreadable' }
  }
}
