import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { COZE_GATEWAY_URL } from '../../demo/coze.ts'
import type { Terminal } from '../../demo/terminal.ts'
import { startWorld, type Teardown, type World } from '../../demo/world.ts'
import { type ApiClient, createApiClient } from '../support/api-client.ts'
import { startBrowser } from '../support/chromium.ts'
import { openPage } from './browser.ts'
import { type Language, WORDS } from './words.ts'

/**
 * The running product with the demo's world around it (three Dify workspaces, two COZE spaces, real MCP servers) and a browser:
 * once a test file, by `startConsole`.
 */
export type ConsoleWorld = World & {
  api: ApiClient
  browser: Browser
  /** A page in a browser of its own, signed in as admin (or with `apiKey`), at `path`. */
  signedIn: (options?: SignInOptions) => Promise<Page>
  stop: () => Promise<void>
}

export type SignInOptions = BrowserContextOptions & { path?: string; language?: Language; apiKey?: string }

const BUILD = fileURLToPath(new URL('../../scripts/console-build.ts', import.meta.url))

/** Builds the console if its sources have changed. */
export async function buildConsole(): Promise<void> {
  await promisify(execFile)(process.execPath, [BUILD])
}

export async function startConsole(): Promise<ConsoleWorld> {
  await buildConsole()
  let teardown: Teardown = async () => null
  try {
    const [world, browser] = await Promise.all([
      startWorld({ difyUrl: null }, SILENT, (given) => {
        teardown = given
      }),
      startBrowser(),
    ])
    const { origin, adminKey } = world.product
    return {
      ...world,
      browser,
      api: createApiClient({ origins: () => [origin], gatewayOrigin: () => origin, adminKey: () => adminKey }),
      signedIn: async ({ path = '/', language = 'en', apiKey = adminKey, ...context } = {}) => {
        const page = await openPage(browser, { ...context, locale: language === 'zh' ? 'zh-CN' : 'en-US' })
        await page.goto(origin + path)
        await signIn(page, apiKey, language)
        return page
      },
      stop: async () => {
        await browser.close()
        await teardown({ keepFiles: false })
      },
    }
  } catch (error) {
    await teardown({ keepFiles: false })
    throw error
  }
}

/** Signs in by the form on the page, and waits for the frame. */
export async function signIn(page: Page, apiKey: string, language: Language = 'en'): Promise<void> {
  const { t } = WORDS[language]
  await page.getByLabel(t('signIn.apiKey')).fill(apiKey)
  await page.getByRole('button', { name: t('signIn.submit') }).click()
  await page.locator('#content h1').waitFor()
}

/** Registers the demo's platforms; answers their ids. */
export async function registerPlatforms(world: ConsoleWorld): Promise<{ difyId: string; cozeId: string }> {
  const { dify, coze, api } = world
  const { host, port, user, password, database } = dify.address
  const difyPlatform = await api.must<{ id: string }>(201, 'POST', '/platforms', {
    kind: 'dify',
    name: 'Demo Dify',
    database: { engine: 'postgresql', host, port, user, password, database, tls: 'disable' },
  })
  const cozePlatform = await api.must<{ id: string }>(201, 'POST', '/platforms', {
    kind: 'coze',
    name: 'Demo COZE',
    baseUrl: coze.simulator.origin,
    accountType: 'team',
    enterpriseId: coze.enterpriseId,
    cookie: coze.user.cookie,
    gatewayUrl: COZE_GATEWAY_URL,
  })
  return { difyId: difyPlatform.id, cozeId: cozePlatform.id }
}

/** Registers the demo's MCP servers; answers their ids by name. */
export async function registerInstances(world: ConsoleWorld): Promise<Record<string, string>> {
  const ids: Record<string, string> = {}
  for (const { name, description, transport, url } of world.servers) {
    const made = await world.api.must<{ id: string }>(201, 'POST', '/instances', { name, description, transport, url })
    ids[name] = made.id
  }
  return ids
}

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
