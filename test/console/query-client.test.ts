import { expect, it } from 'vitest'
import { ProblemError } from '../../console/src/api/problem.ts'
import { queryClient } from '../../console/src/api/query-client.ts'

it('what was sent is forgotten when its form is closed: it may hold a cookie or a key', async () => {
  const mutations = queryClient.getMutationCache()
  const options = queryClient.defaultMutationOptions({ mutationFn: async (_secret: string) => 'done' })
  await mutations.build(queryClient, options).execute('sessionid=secret')
  await expect.poll(() => mutations.getAll()).toEqual([])
})

it('a session that has ended takes with it what was read in it', async () => {
  queryClient.setQueryData(['me'], { name: 'admin', role: 'admin' })
  queryClient.setQueryData(['audit', {}], ['somebody else must not see this'])
  const problem = { status: 401, code: 'unauthenticated', detail: '', hint: null, errors: [], requestId: '' }
  await queryClient
    .fetchQuery({ queryKey: ['platforms'], queryFn: () => Promise.reject(new ProblemError(problem)) })
    .catch(() => undefined)
  expect(queryClient.getQueryData(['me'])).toBeNull()
  expect(queryClient.getQueryData(['audit', {}])).toBeUndefined()
})
