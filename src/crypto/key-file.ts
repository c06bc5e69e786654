import { randomBytes } from 'node:crypto'
import { chmod, link, mkdir, open, readFile, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

export type KeyFile = { text: string; created: boolean; permissionsCorrected: boolean }

/**
 * The secret in a file that only its owner can read; made with `make()` when absent. Of two processes that make it at
 * once, one wins and both get its text: the file appears complete or not at all.
 */
export async function readOrMakeKeyFile(path: string, make: () => string): Promise<KeyFile> {
  const existing = await readKeyFile(path)
  if (existing !== null) return existing
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const draft = `${path}.${randomBytes(6).toString('hex')}`
  const text = make()
  const file = await open(draft, 'wx', 0o600)
  try {
    await file.writeFile(`${text}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
  try {
    // Unlike a rename, a link fails when the file has come into being meanwhile.
    await link(draft, path)
    return { text, created: true, permissionsCorrected: false }
  } catch (error) {
    const winner = await readKeyFile(path)
    if (winner === null) throw error
    return winner
  } finally {
    await rm(draft, { force: true })
  }
}

/** The secret in the file, or null when there is no such file. Takes back what others may read. */
export async function readKeyFile(path: string): Promise<KeyFile | null> {
  try {
    const mode = (await stat(path)).mode
    const permissionsCorrected = (mode & 0o077) !== 0
    if (permissionsCorrected) await chmod(path, 0o600)
    return { text: (await readFile(path, 'utf8')).trim(), created: false, permissionsCorrected }
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}
