import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { getPlatform, openCredential, updatePlatform } from '../../src/store/platforms.ts'
import { createSync } from '../../src/store/syncs.ts'
import { DATABASE_SERVERS } from '../support/database-servers.ts'
import { createDifyDatabase, type DifyTestDatabase } from '../support/dify-database.ts'
import { freePort } from '../support/mcp-servers.ts'
import { fieldsOf, openTestApi, type TestApi } from './harness.ts'

/** Against a real PostgreSQL with a real role whose password has quotes and spaces; the test machine trusts every password. */

let api: TestApi
let dify: DifyTestDatabase

const PASSWORD = `it's "quoted" \\ and spaced`

beforeAll(async () => {
  ;[api, dify] = await Promise.all([openTestApi(), createDifyDatabase()])
  await dify.addWorkspace({ name: 'Alpha', owner: { name: 'Ann', email: 'ann@example.com' } })
  await dify.addWorkspace({ name: 'Beta', withKey: false })
})
afterAll(async () => {
  await api.close()
  await dify.drop()
})

function input(over: Record<string, unknown> = {}, database: Record<string, unknown> = {}) {
  return {
    kind: 'dify',
    name: `Dify ${randomBytes(4).toString('hex')}`,
    database: { ...dify.connection, password: PASSWORD, tls: 'disable', ...database },
    ...over,
  }
}

type Refused = [string, () => Record<string, unknown> | Promise<Record<string, unknown>>, number, string, string]

describe('registering a Dify platform', () => {
  it('checks the connection, seals the password and knows the spaces at once', async () => {
    const made = await api.call('POST', '/api/v1/platforms', { body: input({ name: 'Production' }) })
    expect(made.status).toBe(201)
    expect(made.json).toMatchObject({
      hasCredential: true,
      credentialState: 'valid',
      status: 'active',
      effectiveGatewayUrl: 'https://toolferry.test',
    })
    expect(made.text).not.toContain('quoted')
    expect((await openCredential(api.store, made.json.id))?.credential).toEqual({ password: PASSWORD })

    const spaces = await api.call('GET', `/api/v1/platforms/${made.json.id}/spaces`, { role: 'viewer' })
    expect(
      spaces.json.items.map((space: { name: string; ownerName: string }) => [space.name, space.ownerName]),
    ).toEqual([
      ['Alpha', 'Ann'],
      ['Beta', 'Owner of Beta'],
    ])
    expect(spaces.json.items[1].problem).toMatch(/key/i)

    const twice = await api.call('POST', '/api/v1/platforms', { body: input({ name: 'Again' }, { user: 'somebody' }) })
    expect([twice.status, twice.json.code, fieldsOf(twice)]).toEqual([409, 'already_registered', ['database']])
    expect(twice.json.detail).toContain('Production')
    expect((await api.call('DELETE', `/api/v1/platforms/${made.json.id}`)).status).toBe(204)
  })

  it.each<Refused>([
    [
      'an unreachable database',
      async () => input({}, { port: await freePort() }),
      422,
      'check_failed',
      'database.host',
    ],
    [
      'a database that does not exist',
      () => input({}, { database: 'tf_no_such_database' }),
      422,
      'check_failed',
      'database.database',
    ],
    ['a database that is no Dify', () => input({}, { database: 'postgres' }), 422, 'check_failed', 'database'],
    [
      'a URL as host',
      () => input({}, { host: 'https://user:pw@db.test' }),
      422,
      'invalid_desired_state',
      'database.host',
    ],
    ['a metadata address', () => input({}, { host: '169.254.169.254' }), 422, 'invalid_desired_state', 'database.host'],
    ['a port of words', () => input({}, { port: 'db' }), 400, 'invalid_request', 'database.port'],
    ['an unknown property', () => input({}, { pasword: 'x' }), 400, 'invalid_request', 'database.pasword'],
    ['no password', () => input({}, { password: undefined }), 400, 'invalid_request', 'database.password'],
    ['an empty name', () => input({ name: '  ' }), 400, 'invalid_request', 'name'],
    ['another kind', () => input({ kind: 'slack' }), 400, 'invalid_request', 'kind'],
    [
      'COZE of the open-source edition',
      () => ({ kind: 'coze', name: 'c', edition: 'open-source', accountType: 'personal' }),
      422,
      'unsupported_version',
      'kind',
    ],
    [
      'a gateway URL with a password',
      () => input({ gatewayUrl: 'https://u:p@gw.test' }),
      422,
      'invalid_field',
      'gatewayUrl',
    ],
    ...[
      'javascript:alert(1)',
      'data:text/html,x',
      'ftp://dify.test',
      'dify.test',
      '//dify.test',
      `https://dify.test/${'x'.repeat(500)}`,
    ].map(
      (consoleUrl): Refused => [
        `the console URL ${consoleUrl.slice(0, 30)}`,
        () => input({ consoleUrl }),
        400,
        'invalid_request',
        'consoleUrl',
      ],
    ),
    ...['https://u:p@dify.test', 'https://u@dify.test', 'https://dify.test/?next=x', 'https://dify.test/#x'].map(
      (consoleUrl): Refused => [
        `the console URL ${consoleUrl}`,
        () => input({ consoleUrl }),
        422,
        'invalid_field',
        'consoleUrl',
      ],
    ),
  ])('%s is refused by its field, and nothing is saved', async (_what, make, status, code, field) => {
    const body = await make()
    for (const path of code === 'check_failed' || field === 'gatewayUrl'
      ? ['/platforms']
      : ['/platforms', '/platforms/check']) {
      const answer = await api.call('POST', `/api/v1${path}`, { body })
      expect({ status: answer.status, code: answer.json.code }, answer.text).toEqual({ status, code })
      expect(
        fieldsOf(answer).some((named) => named === field || named.startsWith(`${field}.`)),
        answer.text,
      ).toBe(true)
      expect(answer.text).not.toContain('quoted')
    }
    expect((await api.call('GET', '/api/v1/platforms')).json.items).toEqual([])
  })

  it('an unsaved check says what it found, and ?force saves in spite of it', async () => {
    const good = await api.call('POST', '/api/v1/platforms/check', { body: input() })
    expect(good.json).toMatchObject({ ok: true, spaces: 2, error: null })
    const away = input({}, { port: await freePort() })
    const bad = await api.call('POST', '/api/v1/platforms/check', { body: away })
    expect([bad.status, bad.json.ok]).toEqual([200, false])
    const forced = await api.call('POST', '/api/v1/platforms?force=true', { body: away })
    expect([forced.status, forced.json.credentialState]).toEqual([201, 'unknown'])
    expect((await api.call('POST', `/api/v1/platforms/${forced.json.id}/check`, { role: 'operator' })).json.ok).toBe(
      false,
    )
    await api.call('DELETE', `/api/v1/platforms/${forced.json.id}`)
  })
})

describe('changing a platform', () => {
  let id: string
  beforeAll(async () => {
    id = (await api.call('POST', '/api/v1/platforms', { body: input({ name: 'Changing' }) })).json.id
  })

  it('a name keeps the password; another user drops it, and it must be given again', async () => {
    const renamed = await api.call('PATCH', `/api/v1/platforms/${id}`, {
      body: { name: 'Changed', gatewayUrl: 'https://gw.test/' },
    })
    expect(renamed.json).toMatchObject({ name: 'Changed', hasCredential: true, effectiveGatewayUrl: 'https://gw.test' })
    const moved = await api.call('PATCH', `/api/v1/platforms/${id}`, { body: { database: { user: 'other' } } })
    expect(moved.json).toMatchObject({ hasCredential: false, credentialState: 'none' })
    const check = await api.call('POST', `/api/v1/platforms/${id}/check`)
    expect([check.status, check.json.code]).toEqual([409, 'credential_missing'])
    const refresh = await api.call('GET', `/api/v1/platforms/${id}/spaces?refresh=true`)
    expect(refresh.json.code).toBe('credential_missing')
    const back = await api.call('PATCH', `/api/v1/platforms/${id}`, {
      body: { database: { user: 'postgres', password: PASSWORD } },
    })
    expect(back.json).toMatchObject({ hasCredential: true, credentialState: 'valid' })
  })

  it('the address of its web console is kept in clear, changed, taken away, and says nothing of the database', async () => {
    const of = (answer: { json: { settings: object } }) => answer.json.settings as { consoleUrl?: string | null }
    const patch = (body: object) => api.call('PATCH', `/api/v1/platforms/${id}`, { body })
    const before = await api.call('GET', `/api/v1/platforms/${id}`, { role: 'viewer' })
    expect(of(before).consoleUrl).toBeNull()
    expect(of(await patch({ consoleUrl: 'HTTPS://Dify.test:443/' })).consoleUrl).toBe('https://dify.test')
    expect(of(await patch({ consoleUrl: 'http://10.0.0.5:3000/dify//' })).consoleUrl).toBe('http://10.0.0.5:3000/dify')
    // Another change leaves it, and it leaves the password.
    const kept = await patch({ edition: 'enterprise' })
    expect(kept.json).toMatchObject({
      hasCredential: true,
      settings: { ...before.json.settings, edition: 'enterprise', consoleUrl: 'http://10.0.0.5:3000/dify' },
    })
    for (const consoleUrl of ['javascript:alert(1)', 'https://u:p@dify.test', 'https://dify.test?a=b', '']) {
      expect(fieldsOf(await patch({ consoleUrl }))).toEqual(['consoleUrl'])
    }
    const seen = await api.call('GET', `/api/v1/platforms/${id}`, { role: 'viewer' })
    expect(of(seen).consoleUrl).toBe('http://10.0.0.5:3000/dify')
    expect(of(await patch({ consoleUrl: null })).consoleUrl).toBeNull()
    await patch({ edition: 'community' })
  })

  it('one that was registered before there were addresses of consoles has none', async () => {
    const former: Record<string, unknown> = { ...(await getPlatform(api.store, id))?.settings }
    delete former.consoleUrl
    await updatePlatform(api.store, id, null, { settings: former })
    const patched = await api.call('PATCH', `/api/v1/platforms/${id}`, { body: { edition: 'community' } })
    expect(patched.json).toMatchObject({ hasCredential: true, settings: { ...former, consoleUrl: null } })
  })

  it('without a gateway address of its own any more is checked for the installation’s', async () => {
    const asked: (string | undefined)[] = []
    const { openPlatform } = api.deps
    api.deps.openPlatform = (target) => {
      const platform = openPlatform(target)
      return {
        ...platform,
        check: (options) => {
          asked.push(options.gatewayUrl)
          return platform.check(options)
        },
      }
    }
    try {
      const set = (body: object) =>
        api.call('PATCH', `/api/v1/platforms/${id}`, { body: { ...body, database: { password: PASSWORD } } })
      await set({ gatewayUrl: 'https://own.test' })
      await set({})
      const back = await set({ gatewayUrl: null })
      expect(asked).toEqual(['https://own.test', 'https://own.test', 'https://toolferry.test'])
      expect(back.json).toMatchObject({ gatewayUrl: null, effectiveGatewayUrl: 'https://toolferry.test' })
    } finally {
      api.deps.openPlatform = openPlatform
    }
  })

  it('has an age of its own for its tokens, or none, or follows the installation', async () => {
    const set = (rotateAfterDays: unknown) =>
      api.call('PATCH', `/api/v1/platforms/${id}`, { body: { rotateAfterDays } })
    for (const days of [30, 0, null]) {
      const answer = await set(days)
      expect([answer.status, answer.json.rotateAfterDays]).toEqual([200, days])
    }
    for (const wrong of [-1, 1.5, '30', 36_501]) {
      const answer = await set(wrong)
      expect([answer.status, fieldsOf(answer)]).toEqual([400, ['rotateAfterDays']])
    }
    await set(7)
    await api.call('PATCH', `/api/v1/platforms/${id}`, { body: { name: 'Changed' } })
    expect((await api.call('GET', `/api/v1/platforms/${id}`)).json.rotateAfterDays).toBe(7)
    const forced = await api.call('POST', '/api/v1/platforms?force=true', {
      body: input({ rotateAfterDays: 90 }, { port: await freePort() }),
    })
    expect([forced.status, forced.json.rotateAfterDays]).toEqual([201, 90])
    await api.call('DELETE', `/api/v1/platforms/${forced.json.id}`)
  })

  it('another host drops the password even when the check cannot be made', async () => {
    const other = await api.call('PATCH', `/api/v1/platforms/${id}`, { body: { database: { host: 'localhost' } } })
    expect(other.json).toMatchObject({ hasCredential: false, settings: { database: { host: 'localhost' } } })
    expect(other.json.settings.database).not.toHaveProperty('password')
  })

  it('another name of a database that is registered is no place for a second platform', async () => {
    const registered = await api.call('PATCH', `/api/v1/platforms/${id}`, {
      body: { database: { host: '127.0.0.1', password: PASSWORD } },
    })
    expect(registered.json.credentialState).toBe('valid')
    const other = await api.call('POST', '/api/v1/platforms?force=true', {
      body: input({ name: 'Second' }, { port: await freePort() }),
    })
    const path = `/api/v1/platforms/${other.json.id}`
    const { port } = dify.connection
    const there = { host: 'localhost', port }
    const moved = await api.call('PATCH', path, { body: { database: { ...there, password: PASSWORD } } })
    expect([moved.status, moved.json.code, fieldsOf(moved)]).toEqual([409, 'already_registered', ['database']])
    expect((await api.call('PATCH', path, { body: { database: there } })).json.hasCredential).toBe(false)
    const given = await api.call('PUT', `${path}/credential`, { body: { password: PASSWORD } })
    expect([given.status, given.json.code]).toEqual([409, 'already_registered'])
    await api.call('DELETE', path)
    const back = await api.call('PATCH', `/api/v1/platforms/${id}`, { body: { database: { host: 'localhost' } } })
    expect(back.json.hasCredential).toBe(false)
  })

  it('a new password wakes the runs that wait for one', async () => {
    const { sync } = await createSync(api.store, {
      platformId: id,
      name: 'waiting',
      selection: { instanceIds: [], spaceIds: 'all' },
      requestedBy: 'test',
    })
    const put = await api.call('PUT', `/api/v1/platforms/${id}/credential`, { body: { password: PASSWORD } })
    expect(put.json.credentialState).toBe('valid')
    expect(api.runs.signals).toContainEqual({ syncId: sync.id, signal: { type: 'credentialReplaced' } })
    const gone = await api.call('DELETE', `/api/v1/platforms/${id}/credential`)
    expect(gone.json).toMatchObject({ hasCredential: false, credentialState: 'none' })
    await api.call('PUT', `/api/v1/platforms/${id}/credential`, { body: { password: PASSWORD } })
  })

  it('a stale If-Match changes nothing', async () => {
    const stale = await api.call('PATCH', `/api/v1/platforms/${id}`, {
      body: { name: 'Lost' },
      headers: { 'if-match': 'W/"1"' },
    })
    expect([stale.status, stale.json.code]).toEqual([409, 'stale_write'])
    const now = await api.call('GET', `/api/v1/platforms/${id}`)
    expect(now.json.name).toBe('Changed')
    const fresh = await api.call('PATCH', `/api/v1/platforms/${id}`, {
      body: { name: 'Kept' },
      headers: { 'if-match': now.headers.get('etag') ?? '' },
    })
    expect([fresh.status, fresh.json.name]).toEqual([200, 'Kept'])
  })

  it('spaces: a refresh sees what is new, viewers may not ask for one, search and pages', async () => {
    await dify.addWorkspace({ name: 'Gamma Lab' })
    const asViewer = await api.call('GET', `/api/v1/platforms/${id}/spaces?refresh=true`, { role: 'viewer' })
    expect(asViewer.status).toBe(403)
    const found = await api.call('GET', `/api/v1/platforms/${id}/spaces?refresh=true&search=gamma`, {
      role: 'operator',
    })
    expect(found.json.items.map((space: { name: string }) => space.name)).toEqual(['Gamma Lab'])
    const names: string[] = []
    let cursor: string | null = null
    do {
      const page = await api.call(
        'GET',
        `/api/v1/platforms/${id}/spaces?limit=2${cursor === null ? '' : `&cursor=${cursor}`}`,
      )
      names.push(...page.json.items.map((space: { name: string }) => space.name))
      cursor = page.json.nextCursor
    } while (cursor !== null)
    expect(names).toEqual(['Alpha', 'Beta', 'Gamma Lab'])
  })

  it('a platform whose server refuses the password says so by its field', async () => {
    const role = `tf_api_${randomBytes(4).toString('hex')}`
    const admin = new pg.Client({ ...DATABASE_SERVERS.postgresql, database: 'postgres' })
    await admin.connect()
    try {
      await admin.query(`CREATE ROLE ${role} NOLOGIN`)
      const answer = await api.call('POST', '/api/v1/platforms', {
        body: input({}, { user: role, database: 'postgres' }),
      })
      expect([answer.status, answer.json.code, fieldsOf(answer)]).toEqual([422, 'check_failed', ['database.password']])
      expect(answer.json.detail).toContain(role)
      expect(answer.text).not.toContain('quoted')
    } finally {
      await admin.query(`DROP ROLE ${role}`)
      await admin.end()
    }
  })
})
