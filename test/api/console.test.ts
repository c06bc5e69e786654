import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ensureAdminKey } from '../../src/store/api-keys.ts'
import { createConsoleCode } from '../../src/store/console-code.ts'
import { openTestApi, type TestApi } from './harness.ts'

let api: TestApi
let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'console-'))
  await mkdir(join(directory, 'assets'))
  await writeFile(join(directory, 'index.html'), '<meta content="__CSP_NONCE__"><script src="/assets/a-1.js"></script>')
  await writeFile(join(directory, 'assets/a-1.js'), 'let a')
  await writeFile(join(directory, 'assets/a-1.js.gz'), gzipSync('let a'))
  api = await openTestApi({ consoleDirectory: directory })
})
afterAll(async () => {
  await api.close()
  await rm(directory, { recursive: true })
})

const get = (path: string, headers: Record<string, string> = { accept: 'text/html' }) =>
  api.call('GET', path, { role: 'anonymous', headers })

describe('the console’s files', () => {
  it.each(['/', '/platforms', '/instances/1/access', '/index.html'])(
    '%s is the page, for anybody, never kept',
    async (path) => {
      const answer = await get(path)
      expect(answer.status).toBe(200)
      expect(answer.headers.get('cache-control')).toBe('no-store')
      expect(answer.headers.get('content-type')).toContain('text/html')
    },
  )

  it('the page allows its own scripts, and styles with its nonce, which is another each time', async () => {
    const nonces = await Promise.all(
      [1, 2].map(async () => {
        const answer = await get('/')
        const policy = answer.headers.get('content-security-policy') ?? ''
        expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self' 'nonce-")
        expect(policy).toContain("frame-ancestors 'none'")
        const nonce = /nonce-([\w-]+)'/.exec(policy)?.[1] ?? ''
        expect(answer.text).toContain(`content="${nonce}"`)
        return nonce
      }),
    )
    expect(nonces[0]).not.toBe(nonces[1])
  })

  it('a hashed file is kept for ever and comes compressed to whoever takes that', async () => {
    const plain = await get('/assets/a-1.js', {})
    expect(plain.text).toBe('let a')
    expect(plain.headers.get('cache-control')).toContain('immutable')
    expect(plain.headers.get('content-encoding')).toBeNull()
    const small = await get('/assets/a-1.js', { 'accept-encoding': 'gzip, br' })
    expect(small.headers.get('content-encoding')).toBe('gzip')
    expect(small.headers.get('vary')).toBe('accept-encoding')
  })

  it.each(['/assets/gone-2.js', '/assets/../index.html.stamp', '/.stamp'])('%s is no page', async (path) => {
    expect((await get(path, { accept: '*/*' })).status).toBe(404)
  })

  it.each(['/api/v1/nothing', '/mcp-gateway/x/mcp', '/.well-known/oauth-authorization-server'])(
    '%s stays the API’s 404',
    async (path) => {
      const answer = await get(path)
      expect([401, 404]).toContain(answer.status)
      expect(answer.headers.get('content-type')).toContain('json')
    },
  )

  it.each(['/docs', '/openapi.json', '/healthz'])('%s is not the console', async (path) => {
    expect((await get(path)).text).not.toContain('/assets/a-1.js')
  })
})

describe('the one-time code', () => {
  const redeem = (code: string) => api.call('POST', '/api/v1/session', { role: 'anonymous', body: { code } })

  it('opens a session of the initial admin key, once', async () => {
    await ensureAdminKey(api.store, 'an admin key of more than 32 characters')
    const code = (await createConsoleCode(api.store)) ?? ''
    const first = await redeem(code)
    expect(first.status).toBe(201)
    expect(first.json).toMatchObject({ role: 'admin' })
    expect(first.headers.get('set-cookie')).toContain('HttpOnly')
    const again = await redeem(code)
    expect(again.status).toBe(401)
    expect(again.json).toMatchObject({ code: 'code_used' })
  })

  it('two at the same time cannot both have it', async () => {
    const code = (await createConsoleCode(api.store)) ?? ''
    const answers = await Promise.all([redeem(code), redeem(code), redeem(code)])
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 401, 401])
  })

  it('is worth nothing after ten minutes, after a newer one, or when it is guessed', async () => {
    const old = (await createConsoleCode(api.store, new Date(Date.now() - 601_000))) ?? ''
    expect((await redeem(old)).status).toBe(401)
    const replaced = (await createConsoleCode(api.store)) ?? ''
    const newest = (await createConsoleCode(api.store)) ?? ''
    expect((await redeem(replaced)).status).toBe(401)
    expect((await redeem('guess')).status).toBe(401)
    expect((await redeem(newest)).status).toBe(201)
  })
})
