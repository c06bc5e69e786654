import { execFile } from 'node:child_process'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import type { Browser, Page } from 'playwright-core'
import { openSession } from '../bench/console/first-load.ts'
import type { Terminal } from '../demo/terminal.ts'
import { startWorld, type Teardown, type World } from '../demo/world.ts'
import { startBrowser } from '../test/support/chromium.ts'
import { type Camera, createCamera } from './screenshots/camera.ts'
import { createDisguise, type Disguise } from './screenshots/disguise.ts'
import { useLatinFont } from './screenshots/latin-font.ts'
import { FIRST_PICTURES, PICTURES, type Picture, type Scene, WIZARD_PICTURES } from './screenshots/pictures.ts'
import { startPictureServers, startWebhookReceiver } from './screenshots/servers.ts'
import { apiOf, GATEWAY_URL, tellStory } from './screenshots/story.ts'
import { type Language, wordsOf } from './screenshots/texts.ts'

/**
 * `npm run screenshots -- [--only wizard] [--to docs/images]`: pictures of the console's pages in both languages and both widths,
 * from the running product with the demo's Dify and COZE around it, as <name>.<language>[.phone].webp. Addresses and times
 * are shown as a company would see them (screenshots/disguise.ts). What looks as before is not written again.
 */
const { values } = parseArgs({ options: { only: { type: 'string' }, to: { type: 'string', default: 'docs/images' } } })
const WIDTHS = { desktop: 1280, phone: 390 }
const MOST_HEIGHT = { desktop: 1000, phone: 1200 }
const LEAST_HEIGHT = { desktop: 740, phone: 560 }
const TEXTS = ['common', 'platforms', 'instances', 'access', 'client-tokens', 'sync-wizard', 'sync-run']
/** Beside the light ones. */
const DARK = ['overview', 'run', 'instance-access']

const wanted = (name: string) => values.only === undefined || new RegExp(values.only).test(name)
const nothing = () => undefined
const SILENT: Terminal = {
  title: nothing,
  step: nothing,
  line: nothing,
  ok: nothing,
  bad: nothing,
  note: nothing,
  facts: nothing,
  table: nothing,
  progress: nothing,
}

await promisify(execFile)(process.execPath, [fileURLToPath(new URL('console-build.ts', import.meta.url))])
await mkdir(values.to, { recursive: true })
const written = new Set<string>()
let bytesInAll = 0
let teardown: Teardown = async () => null
const startedAt = new Date()
const servers = await startPictureServers()
const webhooks = await startWebhookReceiver()
try {
  const world = await startWorld({ difyUrl: null }, SILENT, (given) => {
    teardown = given
  })
  world.coze.simulator.route(GATEWAY_URL, world.product.origin)
  const api = apiOf(world)
  const { temporal } = await api.must<{ temporal: { address: string; uiUrl: string | null } }>(200, 'GET', '/settings')
  await useLatinFont()
  const browser = await startBrowser()
  try {
    const camera = await createCamera(browser)
    const { host, port, user } = world.dify.address
    const disguise = createDisguise({
      startedAt,
      swaps: [
        ...servers.map(({ server, shownUrl }): [string, string] => [server.url, shownUrl]),
        [world.coze.simulator.origin, 'https://www.coze.cn'],
      ],
      shown: [
        [world.product.origin, GATEWAY_URL],
        [`${host}:${port}`, '10.20.0.5:5432'],
        [webhooks.origin, 'https://ops.example.com'],
        [temporal.address, 'temporal.internal:7233'],
        ...(temporal.uiUrl === null ? [] : [[temporal.uiUrl, 'http://temporal.internal:8233'] as [string, string]]),
        ['scripted', 'acme-mcp'],
      ],
      database: { host, port, user, shownHost: '10.20.0.5', shownPort: 5432, shownUser: 'toolferry' },
    })
    await takeAll(browser, camera, world, disguise, FIRST_PICTURES, {})
    const story = await tellStory(world, servers, api, webhooks.origin)
    await takeAll(browser, camera, world, disguise, PICTURES, { story })
    await takeAll(browser, camera, world, disguise, WIZARD_PICTURES, { story })
  } finally {
    await browser.close()
  }
} finally {
  await teardown({ keepFiles: false })
  await Promise.all([webhooks.stop(), ...servers.map(({ server }) => server.stop())])
}
if (values.only === undefined) {
  for (const name of await readdir(values.to)) {
    if (name.endsWith('.webp') && !written.has(name)) await rm(join(values.to, name))
  }
}
process.stdout.write(`${written.size} pictures, ${(bytesInAll / 1024 / 1024).toFixed(2)} MiB\n`)

async function takeAll<More extends object>(
  browser: Browser,
  camera: Camera,
  world: World,
  disguise: Disguise,
  pictures: Picture<Scene & More>[],
  more: More,
): Promise<void> {
  await Promise.all(
    (['en', 'zh'] as const).map(async (language) => {
      for (const width of ['desktop', 'phone'] as const) await takeOne(language, width, false)
    }),
  )
  if (pictures.some(({ name }) => DARK.includes(name))) await takeOne('en', 'desktop', true)

  async function takeOne(language: Language, width: 'desktop' | 'phone', dark: boolean): Promise<void> {
    const context = await browser.newContext({
      viewport: { width: WIDTHS[width], height: 860 },
      locale: language === 'zh' ? 'zh-CN' : 'en-US',
      timezoneId: 'Asia/Shanghai',
      reducedMotion: 'reduce',
      colorScheme: dark ? 'dark' : 'light',
    })
    context.setDefaultTimeout(60_000)
    await context.route('**/api/v1/**', disguise.route)
    await openSession(context, world.product.origin, world.product.adminKey)
    const page = await context.newPage()
    await page.clock.setFixedTime(disguise.now)
    const say = await wordsOf(language, TEXTS)
    const scene: Scene & More = { page, say, isPhone: width === 'phone', world, ...more }
    for (const { name, path, prepare, height, only, signedOut } of pictures) {
      if (!wanted(name) || (dark && !DARK.includes(name)) || (only === 'desktop' && width === 'phone')) continue
      await page.setViewportSize({ width: WIDTHS[width], height: height ?? 860 })
      if (signedOut === true) await context.clearCookies()
      await page.goto(world.product.origin + (typeof path === 'string' ? path : path(scene)))
      await page.locator(signedOut === true ? 'h1' : '#content h1').waitFor()
      await calm(page)
      await prepare?.(scene)
      await calm(page)
      if (height === undefined) await fitHeight(page, width)
      const file = `${name}${dark ? '-dark' : ''}.${language}${width === 'phone' ? '.phone' : ''}.webp`
      const { changed, bytes } = await camera.take(page, join(values.to, file))
      if (signedOut === true) await openSession(context, world.product.origin, world.product.adminKey)
      written.add(file)
      bytesInAll += bytes
      process.stdout.write(`${changed ? 'written' : 'as before'}  ${file}  ${(bytes / 1024).toFixed(0)} KiB\n`)
    }
    await context.unrouteAll({ behavior: 'ignoreErrors' })
    await context.close()
  }
}

/** Nothing is loading and nothing moves. */
async function calm(page: Page): Promise<void> {
  await page.waitForLoadState('networkidle')
  await page.locator('.ant-spin-spinning, .ant-skeleton, #content[aria-busy=true]').first().waitFor({ state: 'hidden' })
  await page.mouse.move(1, 1)
  await page.evaluate(`(async () => {
    document.activeElement?.blur()
    const frame = () => new Promise((resolve) => requestAnimationFrame(resolve))
    let still = 0
    for (const deadline = performance.now() + 15000; still < 10 && performance.now() < deadline; ) {
      await frame()
      const moving = document.getAnimations().some((a) => a.effect.getTiming().iterations !== Infinity && a.playState === 'running')
      still = moving || document.querySelector('[class*=-motion-], [class*=-enter-active]') !== null ? 0 : still + 1
    }
  })()`)
}

/** The window as high as what the page holds, within limits. */
async function fitHeight(page: Page, width: 'desktop' | 'phone'): Promise<void> {
  const bottom = await page.evaluate<number>(
    `scrollTo(0, 0), Math.max(...[...document.querySelectorAll('#content *')].filter((e) => e.children.length === 0).map((e) => e.getBoundingClientRect().bottom))`,
  )
  const height = Math.round(Math.min(Math.max(bottom + 32, LEAST_HEIGHT[width]), MOST_HEIGHT[width]))
  await page.setViewportSize({ width: WIDTHS[width], height })
}
