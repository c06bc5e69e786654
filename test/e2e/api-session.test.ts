import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createDifyDatabase, type DifyTestDatabase } from '../support/dify-database.ts'
import { type RunningServer, startEverything } from '../support/mcp-servers.ts'
import { finished, type Product } from '../support/product.ts'
import { SHAPES } from '../support/shapes.ts'

/** The session of docs/api.md, as a reader runs it: bash, curl and jq; the blocks one after the other in one shell. */

const run = promisify(execFile)
const DOCUMENT = readFileSync(new URL('../../docs/api.md', import.meta.url), 'utf8')
const CHAPTERS = DOCUMENT.split(/^## /m).slice(1)
/** Between what the chapters print. */
const MARK = '---- next chapter'

describe.each(SHAPES)('%s', (_shape, start) => {
  let product: Product
  let folder: string
  let dify: DifyTestDatabase
  let server: RunningServer

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'toolferry-session-'))
    ;[dify, server, product] = await Promise.all([
      createDifyDatabase({ password: 'choose-a-long-one' }),
      startEverything('streamableHttp'),
      start(),
    ])
    await writeFile(join(folder, 'admin.key'), product.adminKey)
    await dify.addWorkspace({ name: 'Alpha', owner: { name: 'Ann', email: 'ann@example.com' } })
    await dify.addWorkspace({ name: 'Beta' })
  })

  afterAll(async () => {
    await product?.stop()
    await server?.stop()
    await dify?.drop()
    await rm(folder, { recursive: true })
  })

  it('the session of docs/api.md does what the page says', async () => {
    const { host, port, user, database } = dify.connection
    const places = [
      ['http://127.0.0.1:8080', product.origin],
      ['.toolferry/admin.key', join(folder, 'admin.key')],
      ['"host":"10.0.0.5","port":5432,"user":"toolferry"', `"host":"${host}","port":${port},"user":"${user}"`],
      ['"database":"dify"', `"database":"${database}"`],
      ['http://127.0.0.1:3001/mcp', server.url],
    ] as const
    for (const [place] of places) expect(DOCUMENT).toContain(place)
    const here = (text: string) => places.reduce((done, [place, value]) => done.replaceAll(place, value), text)
    const scripts = CHAPTERS.map((chapter) =>
      [...chapter.matchAll(/^```sh\n([\s\S]*?)^```/gm)].map(([, sh]) => sh).join(''),
    )
    const script = scripts.map(here).join(`echo; echo '${MARK}'\n`)

    const { stdout, stderr } = await run('bash', ['-euo', 'pipefail', '-c', script], { timeout: 240_000 })

    expect(stderr).toBe('')
    const [key, registered, synced, called, cut, away, ...rest] = stdout.split(MARK)
    expect(rest).toEqual([])
    expect(key).toContain('{"name":"initial admin key","role":"admin","via":"key"}')
    expect(registered).toMatch(/\tAlpha\tAnn\t\n/)
    expect(registered).toMatch(/\{"ok":true,"toolCount":\d+,"error":null\}/)
    expect(synced).toMatch(/^Alpha\tEverything\tcreate$/m)
    expect(synced).toMatch(/^Beta\tEverything\tcreate$/m)
    expect(synced).toMatch(/\{"state":"succeeded","counts":\{.*"succeeded":2/)
    expect(called).toContain('Echo: hello')
    expect(called).toMatch(/"Authorization": "Bearer tfg_\w{38}"/)
    // On a machine that stands still it may not be confirmed within the two seconds that the answer waits.
    expect(cut).toMatch(/"effective":(?:true|false).*\n.*"This authorization is switched off\.".* 403\n/)
    expect(cut?.trimEnd()).toMatch(/\n\{"effective":(?:true|false)\}$/)
    const removal = away?.trim() ?? ''
    expect(await finished(product, removal)).toMatchObject({ state: 'succeeded' })
    expect(await dify.rows()).toEqual([])
    await expect
      .poll(async () => (await product.call('GET', '/gateway/logs?tool=echo')).text)
      .toContain('"toolName":"echo"')
  }, 300_000)
})
