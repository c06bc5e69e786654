import { type UseQueryResult, useQuery } from '@tanstack/react-query'
import { api, call, type Schemas } from '../../api/client.ts'
import { at, loadAll } from '../../api/lists.ts'

export type Space = Schemas['Space']

/** Every space of a platform; the first page asks the platform itself when `refresh`. */
export async function loadSpaces(platformId: string, refresh: boolean): Promise<Space[]> {
  return loadAll((cursor) =>
    call(
      api.GET('/api/v1/platforms/{id}/spaces', {
        params: {
          path: { id: platformId },
          query: { limit: 200, ...(refresh && cursor === undefined ? { refresh: 'true' as const } : at(cursor)) },
        },
      }),
    ),
  )
}

export function spacesKey(platformId: string): unknown[] {
  return ['platforms', platformId, 'spaces', 'all']
}

export function useSpaces(platformId: string | null, enabled = true): UseQueryResult<Space[]> {
  return useQuery({
    queryKey: spacesKey(platformId ?? ''),
    queryFn: () => loadSpaces(platformId ?? '', true),
    enabled: platformId !== null && enabled,
    staleTime: 60_000,
    retry: false,
  })
}

/** Why nothing can be synced into this space; null: it can. */
export function whyNot(space: Space): 'archived' | 'problem' | null {
  if (space.archived) return 'archived'
  return space.problem === null ? null : 'problem'
}

/** The spaces that a choice stands for now. */
export function chosenSpaces(spaces: Space[], choice: { everySpace: boolean; spaceIds: string[] }): Space[] {
  if (choice.everySpace) return spaces.filter((space) => whyNot(space) === null)
  const ids = new Set(choice.spaceIds)
  return spaces.filter(({ id }) => ids.has(id))
}
