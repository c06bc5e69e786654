import { useMutation, useQueryClient } from '@tanstack/react-query'
import { api, call, type Schemas } from '../../api/client.ts'
import { at, type List, useList } from '../../api/lists.ts'

export type Binding = Schemas['Binding']
export type BindingChange = Schemas['BindingPatch']
/** What the overview speaks of; its links lead to /access?attention=… */
export const ATTENTIONS = [
  'still_used',
  'rotation_unfinished',
  'token_expires_in_1_day',
  'token_expires_in_7_days',
] as const
export type Attention = (typeof ATTENTIONS)[number]

export type Filter = {
  instanceId?: string
  platformId?: string
  spaceId?: string
  state?: Binding['deployment']['state']
  attention?: Attention
}

export function useBindings(filter: Filter): List<Binding> {
  return useList<Binding>(
    ['bindings', filter],
    (cursor) => call(api.GET('/api/v1/bindings', { params: { query: { limit: 100, ...filter, ...at(cursor) } } })),
    { refetchInterval: 10_000 },
  )
}

/**
 * Changes one binding as it was read: when somebody else changed it meanwhile the server refuses (`stale_write`), nothing is
 * overwritten, and the list is read anew.
 */
export function useChangeBinding() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: ({ binding, change }: { binding: Binding; change: BindingChange }) =>
      call(
        api.PATCH('/api/v1/bindings/{id}', {
          params: { path: { id: binding.id }, header: { 'if-match': `"${binding.rowVersion}"` } },
          body: change,
        }),
      ),
    onSettled: () => queries.invalidateQueries({ queryKey: ['bindings'] }),
  })
}

/** Changes several, all or none. */
export function useChangeBindings() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: ({ bindings, change }: { bindings: Binding[]; change: BindingChange }) =>
      call(
        api.POST('/api/v1/bindings/batch', {
          body: { changes: bindings.map(({ id, rowVersion }) => ({ id, rowVersion, ...change })) },
        }),
      ),
    onSettled: () => queries.invalidateQueries({ queryKey: ['bindings'] }),
  })
}
