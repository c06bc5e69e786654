import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** Whether something made from sources is still what they would make: a digest of the sources, kept in a stamp file. */

/** One digest of every file under the given files and folders, with their paths. sha256 hex. */
export function digestOf(sources: string[]): string {
  const hash = createHash('sha256')
  for (const file of sources.flatMap(filesUnder)) hash.update(file).update('\0').update(readFileSync(file)).update('\0')
  return hash.digest('hex')
}

/** The stamp holds this digest, and what was made is there. */
export function isFresh(stamp: string, digest: string, outputs: string[]): boolean {
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === digest && outputs.every((file) => existsSync(file))
}

function filesUnder(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path]
  return readdirSync(path)
    .sort()
    .flatMap((name) => filesUnder(join(path, name)))
}
