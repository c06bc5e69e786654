import { mkdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { expect } from 'vitest'

/** The pages of the console's tests; the browser itself is test/support/chromium.ts. */

const require = createRequire(import.meta.url)

export const DESKTOP = { width: 1280, height: 860 }
export const PHONE = { width: 390, height: 844 }

/**
 * A page of a browser of its own (no cookies, nothing remembered). What it prints as an error fails `expectNoPageErrors`.
 * It asks for less motion unless `options` say otherwise: on a busy machine a click on what still moves can press one place and let go at another.
 */
export async function openPage(browser: Browser, options: BrowserContextOptions = {}): Promise<Page> {
  const context = await browser.newContext({
    viewport: DESKTOP,
    locale: 'en-US',
    timezoneId: 'UTC',
    reducedMotion: 'reduce',
    ...options,
  })
  context.setDefaultTimeout(60_000)
  const page = await context.newPage()
  const errors: string[] = []
  page.on('pageerror', (error) => errors.push(String(error)))
  page.on('console', (message) => {
    // A refusal of the API is printed by the browser itself; the page shows it.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) errors.push(message.text())
  })
  pageErrors.set(page, errors)
  return page
}

const pageErrors = new WeakMap<Page, string[]>()

/** No exception, no warning of React, nothing that the content security policy blocked. */
export function expectNoPageErrors(page: Page): void {
  expect(pageErrors.get(page) ?? []).toEqual([])
}

/** No accessibility violation that axe calls serious or critical, and no sideways scrolling, on the page as it is now. */
export async function expectNoAxeViolations(page: Page): Promise<void> {
  // A fading or sliding part has colours and places that it will not keep.
  await page.evaluate(
    `Promise.all(document.getAnimations().filter((a) => a.effect.getTiming().iterations !== Infinity).map((a) => a.finished.catch(() => null)))`,
  )
  await page.evaluate(await axeSource())
  const violations = await page.evaluate<Violation[]>(
    `axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations.map(({ id, impact, nodes }) =>
      ({ id, impact, nodes: nodes.map((node) => node.html.slice(0, 300) + ' — ' + node.failureSummary) })))`,
  )
  expect(violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')).toEqual([])
  await expectNoSidewaysScroll(page)
}

/** The page itself is never wider than its window: what is wide scrolls in a frame of its own. */
export async function expectNoSidewaysScroll(page: Page): Promise<void> {
  const { excess, widest } = await page.evaluate<{ excess: number; widest: string[] }>(`(() => {
    const width = document.documentElement.clientWidth
    const excess = Math.max(0, document.scrollingElement.scrollWidth - width)
    const isScrolled = (element) => element !== null && element !== document.body && element !== document.documentElement &&
      (getComputedStyle(element).overflowX !== 'visible' || isScrolled(element.parentElement))
    const reaches = (element) => element.getBoundingClientRect().right > width + 0.5 && !isScrolled(element.parentElement)
    const widest = excess === 0 ? [] : [...document.body.querySelectorAll('*')].filter(reaches)
      .map((element) => element.outerHTML.slice(0, 200)).slice(0, 5)
    return { excess, widest }
  })()`)
  expect({ excess, widest }, `${page.url()} scrolls sideways`).toEqual({ excess: 0, widest: [] })
}

type Violation = { id: string; impact: string; nodes: string[] }

/** A picture of the whole page in the folder SCREENSHOTS, for looking at; without the variable, none. */
export async function screenshot(page: Page, name: string): Promise<void> {
  const directory = process.env.SCREENSHOTS
  if (directory === undefined) return
  await mkdir(directory, { recursive: true })
  await page.screenshot({ path: join(directory, `${name}.png`), fullPage: true, animations: 'disabled' })
}

/** What the page looks like when a test of its fails, in the folder SCREENSHOTS; without the variable, none. */
export async function screenshotOfFailure(page: Page, name: string): Promise<void> {
  await screenshot(page, `failed-${name.replaceAll(/[^\w]+/g, '-').slice(0, 60)}`)
}

let axe: string | null = null

async function axeSource(): Promise<string> {
  axe ??= await readFile(require.resolve('axe-core/axe.min.js'), 'utf8')
  return axe
}
