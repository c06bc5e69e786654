import { randomBytes } from 'node:crypto'
import { chmod, mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { readKeyFile, readOrMakeKeyFile } from '../../src/crypto/key-file.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'toolferry-keys-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

it('of many that make the file at once one wins, and all get its text', async () => {
  const path = join(folder, 'deep', 'master.key')
  const files = await Promise.all(
    Array.from({ length: 30 }, () => readOrMakeKeyFile(path, () => randomBytes(32).toString('base64'))),
  )
  expect(new Set(files.map((file) => file.text)).size).toBe(1)
  expect(files.filter((file) => file.created)).toHaveLength(1)
  expect(await readdir(join(folder, 'deep'))).toEqual(['master.key'])
  expect((await stat(path)).mode & 0o777).toBe(0o600)
})

it('an existing file stays as it is; what others may read is taken back', async () => {
  const path = join(folder, 'master.key')
  const { text } = await readOrMakeKeyFile(path, () => 'first')
  await chmod(path, 0o640)
  expect(await readOrMakeKeyFile(path, () => 'second')).toEqual({ text, created: false, permissionsCorrected: true })
  expect((await stat(path)).mode & 0o777).toBe(0o600)
})

it('reading alone makes nothing', async () => {
  expect(await readKeyFile(join(folder, 'none'))).toBeNull()
  expect(await readdir(folder)).toEqual([])
})
