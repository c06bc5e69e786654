import { queryOptions } from '@tanstack/react-query'
import { api, call, type Schemas } from '../../api/client.ts'

export type Instance = Schemas['Instance']
export type Probe = NonNullable<Schemas['Probe']>

export const instanceQuery = (id: string) =>
  queryOptions({
    queryKey: ['instances', id],
    queryFn: () => call(api.GET('/api/v1/instances/{id}', { params: { path: { id } } })),
  })

export const toolsQuery = (id: string) =>
  queryOptions({
    queryKey: ['instances', id, 'tools'],
    queryFn: () => call(api.GET('/api/v1/instances/{id}/tools', { params: { path: { id } } })),
  })
