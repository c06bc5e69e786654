import { MutationCache, QueryCache, QueryClient } from '@tanstack/react-query'
import { toProblem } from './problem.ts'

/**
 * Query keys are the path of the resource, then what narrows it: ['platforms'], ['platforms', id], ['platforms', id, 'spaces',
 * { search }]. So a write refreshes all that may have changed: `queryClient.invalidateQueries({ queryKey: ['platforms'] })`.
 */
export const queryClient: QueryClient = new QueryClient({
  queryCache: new QueryCache({ onError: noteSignedOut }),
  mutationCache: new MutationCache({ onError: noteSignedOut }),
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      retry: (failures, error) => failures < 2 && isWorthARetry(toProblem(error).status),
    },
    // Not kept when its form is closed, as it would be for five minutes: what was sent may hold a cookie, a password, a key.
    mutations: { retry: false, gcTime: 0 },
  },
})

/** Nobody is signed in any more: the session's query says so, and the shell shows the sign-in page. */
function noteSignedOut(error: unknown): void {
  if (toProblem(error).code === 'unauthenticated') forgetSession(queryClient)
}

/** Nothing that was read in a session is there for whoever signs in next: it may be somebody who may see less. */
export function forgetSession(queries: QueryClient): void {
  queries.setQueryData(['me'], null)
  queries.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== 'me' })
}

function isWorthARetry(status: number): boolean {
  return status === 0 || status === 502 || status === 503 || status === 504
}
