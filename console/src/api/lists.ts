import { type QueryKey, type UseQueryResult, useInfiniteQuery, useQuery } from '@tanstack/react-query'

export type Page<T> = { items: T[]; nextCursor: string | null }

export type List<T> = {
  items: T[]
  /** Until the first page is there. */
  isLoading: boolean
  isFetching: boolean
  error: Error | null
  hasMore: boolean
  loadMore: () => void
  refetch: () => void
}

/** A list page by page: `useList(['syncs'], (cursor) => call(api.GET('/api/v1/syncs', { params: { query: { cursor } } })))`. */
export function useList<T>(
  queryKey: QueryKey,
  load: (cursor: string | undefined) => Promise<Page<T>>,
  options: { enabled?: boolean; refetchInterval?: number | false } = {},
): List<T> {
  const query = useInfiniteQuery({
    queryKey,
    queryFn: ({ pageParam }) => load(pageParam),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.nextCursor ?? undefined,
    ...options,
  })
  return {
    items: query.data?.pages.flatMap((page) => page.items) ?? [],
    isLoading: query.isLoading,
    isFetching: query.isFetching,
    error: query.error,
    hasMore: query.hasNextPage,
    loadMore: () => void query.fetchNextPage(),
    refetch: () => void query.refetch(),
  }
}

/** Every item over all pages, for what must be whole: a selection, a matrix. Ask for 200 a page. */
export function useAll<T>(
  queryKey: QueryKey,
  load: (cursor: string | undefined) => Promise<Page<T>>,
  options: { enabled?: boolean; refetchInterval?: number | false } = {},
): UseQueryResult<T[]> {
  return useQuery({ queryKey: [...queryKey, 'all'], queryFn: () => loadAll(load), ...options })
}

export async function loadAll<T>(load: (cursor: string | undefined) => Promise<Page<T>>): Promise<T[]> {
  const items: T[] = []
  let cursor: string | undefined
  do {
    const page = await load(cursor)
    items.push(...page.items)
    cursor = page.nextCursor ?? undefined
  } while (cursor !== undefined)
  return items
}

/** The query of the page at `cursor`; the first page has none. */
export function at(cursor: string | undefined): { cursor?: string } {
  return cursor === undefined ? {} : { cursor }
}
