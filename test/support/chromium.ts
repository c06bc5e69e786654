import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Browser, chromium } from 'playwright-core'

const SYSTEM_BROWSERS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

/** A real browser without a window: CHROMIUM_PATH, else the system's Chromium, else the one that npm brought. */
export async function startBrowser(): Promise<Browser> {
  const given = process.env.CHROMIUM_PATH ?? SYSTEM_BROWSERS.find((path) => existsSync(path))
  if (given !== undefined) return chromium.launch({ executablePath: given, args: sandboxArgs() })
  // Not with its own arguments: they are for cloud functions. Without the same-origin policy no Origin is sent, and its single
  // process dies with the first page that is closed.
  return chromium.launch({ executablePath: await unpackedBrowser(), args: ['--no-sandbox'] })
}

/**
 * The browser that npm brought, unpacked once for each of its versions. It unpacks itself into a file that it takes for whole as soon as
 * it is there; so it does that in a directory of its own, which is then moved: two tests that start together never run a half of it.
 */
async function unpackedBrowser(): Promise<string> {
  const manifest = new URL('../package.json', import.meta.resolve('@sparticuz/chromium'))
  const { version } = JSON.parse(await readFile(fileURLToPath(manifest), 'utf8')) as { version: string }
  const kept = join(tmpdir(), `toolferry-chromium-${process.getuid?.() ?? 'user'}-${version}`)
  if (existsSync(kept)) return join(kept, 'chromium')
  const fresh = await mkdtemp(join(tmpdir(), 'toolferry-unpack-'))
  const former = process.env.TMPDIR
  try {
    process.env.TMPDIR = fresh
    await (await import('@sparticuz/chromium')).default.executablePath()
  } finally {
    if (former === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = former
  }
  try {
    await rename(fresh, kept)
  } catch (error) {
    await rm(fresh, { recursive: true, force: true })
    // Somebody else was quicker.
    if (!existsSync(kept)) throw error
  }
  return join(kept, 'chromium')
}

/** Chromium's sandbox refuses root. */
function sandboxArgs(): string[] {
  return process.getuid?.() === 0 ? ['--no-sandbox'] : []
}
