import { existsSync } from 'node:fs'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import chromium from '@sparticuz/chromium'

/**
 * Lets a browser that is started afterwards draw Latin letters with the font that came with npm's Chromium, where the machine has none but
 * Chinese ones: those draw an apostrophe as wide as a character. The console asks for Noto Sans; Open Sans takes its name.
 */
export async function useLatinFont(): Promise<void> {
  await chromium.executablePath()
  const folder = join(tmpdir(), 'fonts', 'fonts')
  if (!existsSync(folder)) return
  const file = join(await mkdtemp(join(tmpdir(), 'toolferry-fonts-')), 'fonts.conf')
  await writeFile(
    file,
    `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>
<dir>/usr/share/fonts</dir><dir>${folder}</dir><cachedir prefix="xdg">fontconfig</cachedir>
<match target="scan"><test name="family"><string>Open Sans</string></test>
<edit name="family" mode="assign"><string>Noto Sans</string></edit></match>
<alias><family>monospace</family><prefer><family>Noto Sans Mono CJK SC</family></prefer></alias></fontconfig>`,
  )
  process.env.FONTCONFIG_FILE = file
}
