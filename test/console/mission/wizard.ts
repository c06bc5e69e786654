import type { Locator, Page } from 'playwright-core'
import { button, escaped, type Scene } from './scene.ts'

/** The steps of the sync wizard, as whoever knows it walks through it. */

/** From the list of servers to the wizard's first step. */
export async function pickServers(scene: Scene, page: Page, names: string[]): Promise<void> {
  const { t, world } = scene
  await page.goto(`${world.product.origin}/instances`)
  for (const name of names) {
    await page.getByRole('checkbox', { name: t('instances:select.one', { name }), exact: true }).check()
  }
  await button(scene, page, 'instances:select.sync').click()
}

export type Step = 'platform' | 'spaces' | 'authorization' | 'plan'

export async function pickPlatform(scene: Scene, page: Page, name: string): Promise<void> {
  await page.getByRole('radio', { name }).check()
  await next(scene, page, 'spaces')
}

export function spaceBox(scene: Scene, page: Page, name: string): Locator {
  return page.getByRole('checkbox', { name: scene.t('sync-wizard:spaces.select', { name }), exact: true })
}

export async function pickSpaces(scene: Scene, page: Page, names: string[]): Promise<void> {
  for (const name of names) await spaceBox(scene, page, name).check()
  await next(scene, page, 'authorization')
}

/** On to a step, which must be there before the next button of the same name is pressed. */
export async function next(scene: Scene, page: Page, to: Step): Promise<void> {
  await button(scene, page, 'sync-wizard:next').click()
  await atStep(scene, page, to)
}

export async function back(scene: Scene, page: Page, to: Step): Promise<void> {
  await button(scene, page, 'sync-wizard:back').click()
  await atStep(scene, page, to)
}

async function atStep(scene: Scene, page: Page, step: Step): Promise<void> {
  await page
    .locator('.wizard-steps .ant-steps-item-active')
    .filter({ hasText: scene.t(`sync-wizard:steps.${step}`) })
    .waitFor()
}

/** Waits for the plan and its count of one action. */
export async function planned(scene: Scene, page: Page, action: string, count: number): Promise<void> {
  const { t } = scene
  await page
    .getByRole('button', { name: `${t(`sync-wizard:actions.${action}`)} · ${count}`, exact: true })
    .waitFor({ timeout: 120_000 })
}

/** Accepts the warning of the demo, whose gateway is on this machine, and starts what was planned. */
export async function startPlanned(scene: Scene, page: Page, how: 'start' | 'startAnyway' = 'start'): Promise<void> {
  const { t } = scene
  await page.getByRole('checkbox', { name: t('sync-wizard:plan.accept') }).check()
  await button(scene, page, `sync-wizard:plan.${how}`).click()
}

/** A cell of the run page's matrix, in a state; after it, it may say how many attempts it took. */
export function cell(scene: Scene, page: Page, instance: string, space: string, state: string): Locator {
  const { t } = scene
  const name = t('sync-run:cell', { instance, space, state: t(`states.${state}`) })
  return page.getByRole('button', { name: new RegExp(`^${escaped(name)}`) })
}

/** The run's page says that all is well. */
export async function succeeded(scene: Scene, page: Page): Promise<void> {
  await page.getByText(scene.t('sync-run:succeeded')).waitFor({ timeout: 120_000 })
}
