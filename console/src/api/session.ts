import { queryOptions, useQuery, useQueryClient } from '@tanstack/react-query'
import { api, call, type Schemas } from './client.ts'
import { toProblem } from './problem.ts'
import { forgetSession } from './query-client.ts'

export type Role = Schemas['Me']['role']

const ROLES: readonly Role[] = ['viewer', 'operator', 'admin']

/** Who is signed in; null: nobody. */
export const meQuery = queryOptions({
  queryKey: ['me'],
  queryFn: async (): Promise<Schemas['Me'] | null> => {
    try {
      return await call(api.GET('/api/v1/me'))
    } catch (error) {
      if (toProblem(error).code === 'unauthenticated') return null
      throw error
    }
  },
  staleTime: 60_000,
})

/** Whether the signed-in person may do what needs `needed`. The server decides; this only decides what is shown. */
export function useRole(needed: Role): boolean {
  const { data } = useQuery(meQuery)
  return data != null && ROLES.indexOf(data.role) >= ROLES.indexOf(needed)
}

/** Opens a session with an API key or the one-time code of the printed link. */
export async function signIn(credential: Schemas['SessionCredential']): Promise<void> {
  await call(api.POST('/api/v1/session', { body: credential }))
}

/** Ends the session and forgets everything that was read in it. */
export function useSignOut(): () => Promise<void> {
  const queries = useQueryClient()
  return async () => {
    await call(api.DELETE('/api/v1/session'))
    forgetSession(queries)
  }
}

/** The code of a one-time link (#code=…), taken out of the address so that it is in no history. */
export function takeCodeFromAddress(): string | null {
  const code = new URLSearchParams(window.location.hash.slice(1)).get('code')
  if (code !== null) window.history.replaceState(null, '', window.location.pathname + window.location.search)
  return code
}
