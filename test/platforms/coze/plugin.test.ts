import { describe, expect, it } from 'vitest'
import { pluginAnswer } from '../../../src/platforms/coze/answers.ts'
import { pluginToolNames } from '../../../src/platforms/coze/calls.ts'
import type { CozeClient } from '../../../src/platforms/coze/client.ts'
import { withAuthorization } from '../../../src/platforms/coze/plugin.ts'
import { never } from './world.ts'

describe('the headers of a plugin', () => {
  it('that are not ours are sent back whole, with members that nobody here knows', () => {
    const theirs = { name: 'X-Team', value: 'red', is_required: true, desc: 'whose it is' }
    const query = { name: 'lang', value: 'zh', desc: 'words' }
    const { meta_info } = pluginAnswer.parse({
      meta_info: { common_params: { 2: [query], 4: [theirs, { name: 'authorization', value: 'Bearer old' }] } },
    })
    expect(withAuthorization(meta_info.common_params, 'Bearer new')).toEqual({
      1: [],
      2: [query],
      3: [],
      4: [{ name: 'Authorization', value: 'Bearer new' }, theirs],
    })
  })
})

describe('the tools of a plugin', () => {
  it.each([true, false])(
    'are read on all pages, though COZE gives shorter ones than it was asked for; total: %s',
    async (counts) => {
      const all = Array.from({ length: 45 }, (_, number) => ({ name: `tool_${number}`, disabled: number === 44 }))
      const pages: unknown[] = []
      const client = {
        call: async ({ body = {} }: { body?: Record<string, unknown> }) => {
          pages.push(body.page)
          const first = (Number(body.page) - 1) * 20
          return { api_info: all.slice(first, first + 20), ...(counts ? { total: all.length } : {}) }
        },
      } as unknown as CozeClient
      const names = await pluginToolNames({ client, signal: never() }, '75')
      expect(names).toEqual(all.slice(0, 44).map(({ name }) => name))
      expect(pages).toEqual(counts ? [1, 2, 3] : [1, 2, 3, 4])
    },
  )
})
