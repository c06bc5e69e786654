import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { addLargeRun } from '../../bench/console/large-run.ts'
import { createInstallation, type Installation } from '../../bench/gateway/product.ts'
import { startBrowser } from '../support/chromium.ts'
import { expectNoAxeViolations, expectNoPageErrors, openPage } from './browser.ts'
import { buildConsole, signIn } from './world.ts'

const INSTANCES = 50
const SPACES = 60

let installation: Installation
let product: Awaited<ReturnType<Installation['run']>>
let browser: Browser
let syncId = ''
beforeAll(async () => {
  await buildConsole()
  installation = await createInstallation(null, 'http://127.0.0.1:1/mcp', async (store) => {
    syncId = await addLargeRun(store, INSTANCES, SPACES)
  })
  product = await installation.run('all')
  browser = await startBrowser()
})
afterAll(async () => {
  await browser?.close()
  await product?.stop()
  await installation?.remove()
})

it('of three thousand cells only those in sight are in the document; the last can be reached and opened', async () => {
  const page = await openPage(browser)
  await page.goto(`${product.origin}/syncs/${syncId}`)
  await signIn(page, installation.adminKey)
  const cells = page.locator('[data-cell]')
  await cells.first().waitFor()
  const grid = page.getByRole('grid')
  await expect.poll(() => grid.getAttribute('aria-rowcount')).toBe(String(SPACES + 1))
  await expect.poll(() => grid.getAttribute('aria-colcount')).toBe(String(INSTANCES + 1))
  const atOnce = await cells.count()
  expect(atOnce).toBeGreaterThan(20)
  expect(atOnce).toBeLessThan(400)
  await expectNoAxeViolations(page)

  await page.evaluate(`document.querySelector('[role=grid]').scrollTo(1e6, 1e6)`)
  const last = page.locator(`[data-cell="${SPACES - 1}:${INSTANCES - 1}"]`)
  await last.waitFor()
  await expect.poll(() => cells.count()).toBeLessThan(400)
  await expect.poll(() => page.locator('[data-cell="0:0"]').count()).toBe(0)
  await last.click()
  await page.getByRole('dialog').getByText(`mcp server 0${INSTANCES}`).first().waitFor()
  expectNoPageErrors(page)
})

it('the arrow keys walk on to cells that were out of sight', async () => {
  const page = await openPage(browser)
  await page.goto(`${product.origin}/syncs/${syncId}`)
  await signIn(page, installation.adminKey)
  await page.locator('[data-cell="0:0"]').focus()
  for (let row = 1; row <= 30; row += 1) {
    await page.keyboard.press('ArrowDown')
    await page.locator(`[data-cell="${row}:0"]:focus`).waitFor()
  }
  await expect.poll(() => page.locator('[data-cell="0:0"]').count()).toBe(0)
  expectNoPageErrors(page)
})

it('Tab comes into the grid also when a filter has taken away the cell that was walked to', async () => {
  const page = await openPage(browser)
  await page.goto(`${product.origin}/syncs/${syncId}`)
  await signIn(page, installation.adminKey)
  await page.locator('[data-cell="0:0"]').focus()
  for (let column = 1; column <= 6; column += 1) {
    await page.keyboard.press('ArrowRight')
    await page.locator(`[data-cell="0:${column}"]:focus`).waitFor()
  }
  await page.getByRole('button', { name: /^Failed/ }).click()
  // Five of the fifty servers have failed somewhere.
  await page.locator('[role=grid][aria-colcount="6"]').waitFor()
  await expect.poll(() => page.locator('[data-cell][tabindex="0"]').count()).toBe(1)
  expectNoPageErrors(page)
})
