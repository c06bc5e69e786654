import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { csvCell } from '../../src/api/audit-export.ts'
import { newId } from '../../src/domain/ids.ts'
import { createApiKey, revokeApiKey } from '../../src/store/api-keys.ts'
import { fieldsOf, openTestApi, type TestApi } from './harness.ts'

let api: TestApi
beforeAll(async () => {
  api = await openTestApi()
  // Over more than one page, a minute apart.
  const rows = Array.from({ length: 1_203 }, (_, index) => {
    const at = new Date(START + index * 60_000)
    return {
      id: newId(at.getTime()),
      at,
      actor: index === 1 ? '=HYPERLINK("http://x")' : 'ann',
      actorId: null,
      action: 'update',
      resource: 'binding',
      resourceId: `b-${index}`,
      fields: '["enabled","expiresAt"]',
      outcome: 'allowed',
      requestId: null,
    }
  })
  for (let from = 0; from < rows.length; from += 400) {
    await api.store.write((tx) => tx.auditEvent.createMany({ data: rows.slice(from, from + 400) }))
  }
})
afterAll(() => api.close())

const START = Date.parse('2026-01-01T00:00:00Z')
const minute = (index: number) => new Date(START + index * 60_000).toISOString()
const get = (query: string, role: 'admin' | 'operator' = 'admin') =>
  api.call('GET', `/api/v1/audit/export?${query}`, { role })

describe('the audit as a file', () => {
  it('breaks off when the key that asked for it is revoked: half a file is not taken for a whole one', async () => {
    const { key, secret } = await createApiKey(api.store, { name: 'leaver', role: 'admin' })
    const response = await api.app.request(`/api/v1/audit/export?format=ndjson&from=${minute(0)}&to=${minute(1_202)}`, {
      headers: { authorization: `Bearer ${secret}` },
    })
    const reader = response.body?.getReader()
    expect((await reader?.read())?.done).toBe(false)
    await revokeApiKey(api.store, key.id)
    const nowMs = performance.now() + 5_000
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => nowMs)
    // One page may have been on its way; there would be two.
    const rest = async () => {
      let pages = 0
      while ((await reader?.read())?.done === false) pages += 1
      return pages
    }
    await expect(rest()).rejects.toThrow('has ended')
    clock.mockRestore()
  })

  it('is NDJSON of all that happened in the time asked for, the oldest first', async () => {
    const answer = await get(`format=ndjson&from=${minute(0)}&to=${minute(1_202)}`)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-disposition')).toMatch(/^attachment; filename="toolferry-audit-.*\.ndjson"$/)
    const lines = answer.text.trimEnd().split('\n')
    const ids = lines.map((line) => JSON.parse(line).resourceId)
    // "to" is the first moment that is not in it.
    expect(ids).toEqual(Array.from({ length: 1_202 }, (_, index) => `b-${index}`))
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ at: minute(0), fields: ['enabled', 'expiresAt'] })
  })

  it('is CSV that a spreadsheet takes for text', async () => {
    const answer = await get(`from=${minute(0)}&to=${minute(3)}`)
    expect(answer.headers.get('content-type')).toMatch(/^text\/csv/)
    const [header, first, second, third, rest] = answer.text.split('\r\n')
    expect(header).toBe('"id","at","actor","actorId","action","resource","resourceId","fields","outcome","requestId"')
    expect(first).toMatch(/^"[0-9a-f-]{36}","2026-01-01T00:00:00.000Z","ann","","update","binding","b-0"/)
    expect(second).toContain(`,"'=HYPERLINK(""http://x"")",`)
    expect([third?.includes('"b-2"'), rest]).toEqual([true, ''])
  })

  it('is narrowed as the list is: by who, what and which, and by time', async () => {
    const times = `from=${minute(0)}&to=${minute(10)}`
    const exported = async (query: string) => {
      const { text } = await get(`format=ndjson&${times}&${query}`)
      return text
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line).resourceId)
    }
    const listed = async (query: string) => {
      const { json } = await api.call('GET', `/api/v1/audit?${times}&${query}`, { role: 'admin' })
      return json.items.map((event: { resourceId: string }) => event.resourceId).reverse()
    }
    for (const [query, expected] of [
      ['actor=ann&resource=binding&action=update', [0, 2, 3, 4, 5, 6, 7, 8, 9].map((index) => `b-${index}`)],
      ['resourceId=b-4', ['b-4']],
      ['resource=platform', []],
      ['actor=bob', []],
    ] as const) {
      expect([query, await exported(query)]).toEqual([query, expected])
      expect([query, await listed(query)]).toEqual([query, expected])
    }
    // Page by page within the time, too.
    const first = await api.call('GET', `/api/v1/audit?${times}&limit=7`, { role: 'admin' })
    const rest = await api.call('GET', `/api/v1/audit?${times}&limit=7&cursor=${first.json.nextCursor}`, {
      role: 'admin',
    })
    const ids = [...first.json.items, ...rest.json.items].map((event: { resourceId: string }) => event.resourceId)
    expect([ids, rest.json.nextCursor]).toEqual([Array.from({ length: 10 }, (_, index) => `b-${9 - index}`), null])
  })

  it('ends, and names a range that cannot be', async () => {
    expect((await get('format=ndjson&from=2031-01-01T00:00:00Z&to=2032-01-01T00:00:00Z')).text).toBe('')
    const wrong = await get(`from=${minute(3)}&to=${minute(3)}`)
    expect([wrong.status, fieldsOf(wrong)]).toEqual([422, ['from']])
    expect((await get('format=xlsx')).status).toBe(400)
  })

  it('is for admins, and audited whoever asks', async () => {
    expect((await get('', 'operator')).status).toBe(403)
    const { items } = (await api.call('GET', '/api/v1/audit?action=export')).json
    const seen = items.map((event: { actor: string; outcome: string }) => `${event.actor} ${event.outcome}`)
    expect(seen[0]).toBe('op refused')
    expect(seen).toContain('adm allowed')
  })

  it.each([
    ['plain', '"plain"'],
    ['a "b", c', '"a ""b"", c"'],
    ['-1', `"'-1"`],
    ['+1', `"'+1"`],
    ['@x', `"'@x"`],
    ['\t=1', `"'\t=1"`],
    ['  =1', `"'  =1"`],
    ['＝1', `"'＝1"`],
    ['', '""'],
    ['2026-01-01', '"2026-01-01"'],
  ])('the cell %j', (text, cell) => {
    expect(csvCell(text)).toBe(cell)
  })
})
