import { afterAll, afterEach, beforeAll, describe, vi } from 'vitest'
import { openPage, screenshotOfFailure } from '../browser.ts'
import { type Language, WORDS } from '../words.ts'
import { startConsole } from '../world.ts'
import { configureAccess } from './access.ts'
import { administer } from './administer.ts'
import { connectCoze } from './connect-coze.ts'
import { connectDify } from './connect-dify.ts'
import { checkSchedule, makeSchedule } from './keep-in-sync.ts'
import { startRecorder } from './recorder.ts'
import { checkRoles } from './roles.ts'
import { createScene } from './scene.ts'
import { registerServers } from './servers.ts'
import { syncToCoze } from './sync-coze.ts'
import { syncToDify } from './sync-dify.ts'

/**
 * What the product is for, row by row (the user's guides), done in a browser by clicking, in one language: one product, one
 * world, one admin from the first sign-in on. The steps stand on each other, as the work of an admin does.
 */
export function mission(language: Language): void {
  vi.setConfig({ testTimeout: 240_000 })
  const scene = createScene(language, WORDS[language])

  beforeAll(async () => {
    const [world, recorder] = await Promise.all([startConsole(), startRecorder()])
    const page = await openPage(world.browser, { locale: language === 'zh' ? 'zh-CN' : 'en-US' })
    scene.open({ world, recorder, page })
  })
  afterAll(async () => {
    await scene.world.stop()
    await scene.recorder.stop()
  })

  afterEach(async ({ task }) => {
    if (task.result?.state !== 'fail') return
    const pages = scene.world.browser.contexts().flatMap((context) => context.pages())
    for (const [index, page] of pages.entries()) await screenshotOfFailure(page, `${language}-${index}-${task.name}`)
  })

  describe(`the mission, in ${language === 'zh' ? 'Chinese' : 'English'}`, () => {
    registerServers(scene)
    connectDify(scene)
    syncToDify(scene)
    configureAccess(scene)
    connectCoze(scene)
    syncToCoze(scene)
    makeSchedule(scene)
    checkRoles(scene)
    administer(scene)
    checkSchedule(scene)
  })
}
