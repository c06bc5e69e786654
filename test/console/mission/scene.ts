import type { Locator, Page } from 'playwright-core'
import { expect } from 'vitest'
import type { Instance, Space } from '../../../demo/api-types.ts'
import type { DifyMcpSession } from '../../../demo/dify/mcp-call.ts'
import type { Language, Words } from '../words.ts'
import type { ConsoleWorld } from '../world.ts'
import type { Recorder } from './recorder.ts'

/** What the steps of a mission share: the running product, the admin's page, and the language that is spoken. */
export type Scene = Words & {
  language: Language
  /** Each throws before `open`. */
  world: ConsoleWorld
  /** The admin's browser. */
  page: Page
  recorder: Recorder
  open: (parts: Parts) => void
}

type Parts = { world: ConsoleWorld; page: Page; recorder: Recorder }

export function createScene(language: Language, words: Words): Scene {
  let parts: Parts | null = null
  const opened = (): Parts => {
    if (parts === null) throw new Error('The world has not started.')
    return parts
  }
  return {
    ...words,
    language,
    get world() {
      return opened().world
    },
    get page() {
      return opened().page
    },
    get recorder() {
      return opened().recorder
    },
    open: (given) => {
      parts = given
    },
  }
}

/** A button of the page or of one of its parts, by its name in the catalogue: the whole of it, with its icon's before it if it has one. */
export function button(
  scene: Scene,
  within: Page | Locator,
  key: string,
  values: Record<string, unknown> = {},
): Locator {
  return within.getByRole('button', { name: new RegExp(`(^|\\s)${escaped(scene.t(key, values))}$`) })
}

export function field(
  scene: Scene,
  within: Page | Locator,
  key: string,
  values: Record<string, unknown> = {},
): Locator {
  return within.getByLabel(scene.t(key, values), { exact: true })
}

/** A field that may be left empty says so in its label. */
export function optionalField(scene: Scene, within: Page | Locator, key: string): Locator {
  return within.getByLabel(`${scene.t(key)} (${scene.t('optional')})`, { exact: true })
}

/** The drawer or dialog that is in front. */
export function dialog(page: Page): Locator {
  return page.getByRole('dialog').last()
}

/** What is said to be wrong, at the fields and in alerts. */
export function complaints(within: Page | Locator): Locator {
  return within.locator('.ant-form-item-explain-error, [role=alert], .probe-bad')
}

/** What is said in passing goes away by itself: it is waited for from before the click that brings it. */
export async function clickAndHear(target: Locator, said: string): Promise<void> {
  await Promise.all([target.page().getByText(said).first().waitFor(), target.click()])
}

/** Waits until `text` is said to be wrong, and expects that everything said with it is in the language chosen. */
export async function expectRefusal(scene: Scene, within: Page | Locator, text: string): Promise<void> {
  await complaints(within).filter({ hasText: text }).first().waitFor()
  await expectLanguage(scene, complaints(within))
}

/** Names, addresses and single words of machines may stand in a Chinese sentence, an English sentence may not; nor a Chinese one in English. */
export async function expectLanguage(scene: Scene, said: Locator): Promise<void> {
  const foreign = scene.language === 'zh' ? /(?:[A-Za-z’',]+ ){4}[A-Za-z’']+/ : /[，。；：？！（）]/
  const texts = await said.allInnerTexts()
  expect(texts.length).toBeGreaterThan(0)
  // The step goes on, so that one run shows everything that is not said in the language.
  expect.soft(texts.filter((text) => foreign.test(text))).toEqual([])
}

/** What the product notes by itself while it works. */
const NOTED = new Set(['lastUsedAt', 'checkedAt', 'updatedAt', 'seenAt', 'lastProbe'])

/** Runs `work`, which must be refused, and expects that the API's list is what it was. */
export async function expectNothingSaved(scene: Scene, path: string, work: () => Promise<void>): Promise<void> {
  const list = async () => JSON.stringify(await listOf(scene, path), (key, value) => (NOTED.has(key) ? null : value), 1)
  const before = await list()
  await work()
  expect(await list()).toBe(before)
}

export async function listOf<T>(scene: Scene, path: string): Promise<T[]> {
  return (await scene.world.api.must<{ items: T[] }>(200, 'GET', path)).items
}

export async function instanceNamed(scene: Scene, name: string): Promise<Instance> {
  const found = (await listOf<Instance>(scene, '/instances')).find((instance) => instance.name === name)
  if (found === undefined) throw new Error(`There is no instance ${name}.`)
  return found
}

export async function platformOf(scene: Scene, kind: 'dify' | 'coze'): Promise<{ id: string; name: string }> {
  const [found] = await listOf<{ id: string; name: string }>(scene, `/platforms?kind=${kind}`)
  if (found === undefined) throw new Error(`There is no platform of the kind ${kind}.`)
  return found
}

export async function spacesOf(scene: Scene, platformId: string): Promise<Space[]> {
  return listOf<Space>(scene, `/platforms/${platformId}/spaces`)
}

/** Calls as Dify does: from the row in its database alone. Throws CallRefused when the gateway refuses. */
export async function asDify<T>(
  scene: Scene,
  workspace: string,
  provider: string,
  work: (session: DifyMcpSession) => Promise<T>,
): Promise<T> {
  const { side, workspaces } = scene.world.dify
  const workspaceId = workspaces.find(({ name }) => name === workspace)?.id ?? ''
  const row = (await side.providers(workspaceId)).find(({ name }) => name === provider)
  if (row === undefined) throw new Error(`Dify has no ${provider} in ${workspace}.`)
  const session = await side.connect(workspaceId, row.id)
  try {
    return await work(session)
  } finally {
    await session.close()
  }
}

/** As a regular expression has it. */
export function escaped(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&')
}
