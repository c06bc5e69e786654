import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import type { Browser, CDPSession, Page } from 'playwright-core'

/** A picture that differs from the one there is in fewer pixels than this stays as it is: a second more or less, an id. */
const NOISE_PIXELS = 700
const QUALITY = 55

export type Camera = {
  /** Writes what the page's window shows as WebP; says whether the file changed, and its size. */
  take: (page: Page, file: string) => Promise<{ changed: boolean; bytes: number }>
}

export async function createCamera(browser: Browser): Promise<Camera> {
  const darkroom = await (await browser.newContext()).newPage()
  const sessions = new WeakMap<Page, CDPSession>()
  return {
    take: async (page, file) => {
      const devtools = sessions.get(page) ?? (await page.context().newCDPSession(page))
      sessions.set(page, devtools)
      const { data } = await devtools.send('Page.captureScreenshot', { format: 'webp', quality: QUALITY })
      const former = existsSync(file) ? (await readFile(file)).toString('base64') : null
      if (former !== null && (await differingPixels(darkroom, former, data)) < NOISE_PIXELS) {
        return { changed: false, bytes: Buffer.from(former, 'base64').length }
      }
      await writeFile(file, Buffer.from(data, 'base64'))
      return { changed: true, bytes: Buffer.from(data, 'base64').length }
    },
  }
}

/** Counted by the browser, which can read WebP. Pictures of different sizes differ in everything. */
async function differingPixels(page: Page, one: string, other: string): Promise<number> {
  return await page.evaluate<number>(`(async () => {
    const pixels = async (base64) => {
      const image = new Image()
      image.src = 'data:image/webp;base64,' + base64
      await image.decode()
      const canvas = new OffscreenCanvas(image.width, image.height)
      const context = canvas.getContext('2d')
      context.drawImage(image, 0, 0)
      return context.getImageData(0, 0, image.width, image.height)
    }
    const [a, b] = [await pixels(${JSON.stringify(one)}), await pixels(${JSON.stringify(other)})]
    if (a.width !== b.width || a.height !== b.height) return 1e9
    let count = 0
    for (let at = 0; at < a.data.length; at += 4) {
      const distance = Math.abs(a.data[at] - b.data[at]) + Math.abs(a.data[at + 1] - b.data[at + 1]) + Math.abs(a.data[at + 2] - b.data[at + 2])
      if (distance > 90) count += 1
    }
    return count
  })()`)
}
