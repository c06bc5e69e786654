import { type QueryClient, type UseQueryResult, useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect, useRef } from 'react'
import { api, call, type Schemas } from '../../api/client.ts'
import { at, loadAll } from '../../api/lists.ts'

export type Run = Schemas['LiveSync']
export type Target = Schemas['SyncTarget']

const OPEN = new Set<Run['state']>(['queued', 'running', 'paused', 'waiting_for_credential'])
/** What arrives meanwhile is taken together. */
const GATHER_MS = 400
/** As long as a browser waits by itself after a stream that broke. */
const OPEN_AGAIN_MS = 3_000
/** How often a run that is going on is read though no event has come. */
const READ_AGAIN_MS = 5_000
/** Targets that are one reading: no event tells that one is being written now, which on COZE takes a while. */
const ONE_READING = 200
/** With more spaces than this the whole is read again, instead of each. */
const SPACES_ONE_BY_ONE = 8

export function isOpen(run: Pick<Run, 'state'>): boolean {
  return OPEN.has(run.state)
}

export function useRun(syncId: string): UseQueryResult<Run> {
  return useQuery({
    queryKey: ['syncs', syncId],
    queryFn: () => call(api.GET('/api/v1/syncs/{id}', { params: { path: { id: syncId } } })),
    // The event stream tells of every change at once; this is for what it may have missed while it was cut off.
    refetchInterval: ({ state }) => (state.data !== undefined && isOpen(state.data) ? READ_AGAIN_MS : false),
  })
}

/** Read once the run has been, so that they are at least as new as its last event. */
export function useTargets(syncId: string, run: Run | undefined): UseQueryResult<Target[]> {
  return useQuery({
    queryKey: targetsKey(syncId),
    queryFn: () => loadTargets(syncId),
    enabled: run !== undefined,
    refetchOnMount: 'always',
  })
}

/**
 * Follows the run's events while it is open: each ended target is shown at once, each space is read again when it moved on. From
 * where the run stood when it was first read: a large one has had a hundred thousand of them by then.
 */
export function useLiveRun(syncId: string, run: Run | undefined): void {
  const queries = useQueryClient()
  const open = run !== undefined && isOpen(run)
  const first = useRef<{ syncId: string; lastEvent: number } | null>(null)
  if (run !== undefined && first.current?.syncId !== syncId) first.current = { syncId, lastEvent: run.lastEvent }
  useEffect(() => {
    if (!open) return
    const gather = gatherer(queries, syncId)
    const stop = followEvents(syncId, first.current?.lastEvent ?? 0, gather)
    // A timer of its own: one of the query would begin anew with every event.
    const again = setInterval(() => {
      if (document.hidden) return
      const { data = [], status } = queries.getQueryState<Target[]>(targetsKey(syncId)) ?? {}
      if (status !== 'pending' && data.length <= ONE_READING) gather.everything()
    }, READ_AGAIN_MS)
    return () => {
      clearInterval(again)
      stop()
      gather.stop()
      // The run may have been seen to have ended before the events of its last targets were: they are read once more.
      void queries.invalidateQueries({ queryKey: targetsKey(syncId) })
    }
  }, [queries, syncId, open])
}

/**
 * Reads the run's events until it is stopped. A stream that was answered with an error (a gateway before a server that starts anew)
 * is given up by the browser for good: it is opened again, from the last event that came.
 */
function followEvents(syncId: string, after: number, gather: ReturnType<typeof gatherer>): () => void {
  let last = after
  let events: EventSource
  let timer: ReturnType<typeof setTimeout> | undefined
  const open = () => {
    events = new EventSource(`/api/v1/syncs/${encodeURIComponent(syncId)}/events?after=${last}`)
    const on = (type: string, take: (data: string) => void) =>
      events.addEventListener(type, ({ data, lastEventId }: MessageEvent<string>) => {
        last = Number(lastEventId)
        take(data)
      })
    on('target', (data) => gather.target(JSON.parse(data)))
    on('space', (data) => gather.space(JSON.parse(data).spaceId))
    for (const type of ['sync', 'instance', 'authorization']) on(type, gather.everything)
    events.addEventListener('error', () => {
      if (events.readyState === EventSource.CLOSED) timer = setTimeout(open, OPEN_AGAIN_MS)
    })
  }
  open()
  return () => {
    clearTimeout(timer)
    events.close()
  }
}

function gatherer(queries: QueryClient, syncId: string) {
  const states = new Map<string, Target['state']>()
  const spaces = new Set<string>()
  let everything = false
  let timer: ReturnType<typeof setTimeout> | null = null

  const flush = () => {
    timer = null
    const readAll = everything || spaces.size > SPACES_ONE_BY_ONE
    if (states.size > 0) {
      queries.setQueryData<Target[]>(targetsKey(syncId), (targets) => withStates(targets, states))
    }
    void queries.invalidateQueries({ queryKey: ['syncs', syncId], exact: true })
    // A large run is many pages: one reading at a time, and another one after it.
    const isReading = queries.isFetching({ queryKey: targetsKey(syncId) }) > 0
    if (readAll && !isReading) void queries.invalidateQueries({ queryKey: targetsKey(syncId) })
    if (!readAll) for (const spaceId of spaces) readSpace(queries, syncId, spaceId)
    states.clear()
    spaces.clear()
    everything = readAll && isReading
    if (everything) soon()
  }
  const soon = () => {
    timer ??= setTimeout(flush, GATHER_MS)
  }
  return {
    target: ({ targetId, state }: { targetId: string; state: Target['state'] }) => {
      states.set(targetId, state)
      soon()
    },
    space: (spaceId: string) => {
      spaces.add(spaceId)
      soon()
    },
    everything: () => {
      everything = true
      soon()
    },
    stop: () => {
      if (timer !== null) clearTimeout(timer)
    },
  }
}

function readSpace(queries: QueryClient, syncId: string, spaceId: string): void {
  loadTargets(syncId, spaceId).then(
    (loaded) => {
      const fresh = new Map(loaded.map((target) => [target.id, target]))
      queries.setQueryData<Target[]>(targetsKey(syncId), (targets) =>
        targets?.map((target) => fresh.get(target.id) ?? target),
      )
    },
    // Then with all the others: that reading is tried again, and the page says when it fails, too.
    () => void queries.invalidateQueries({ queryKey: targetsKey(syncId) }),
  )
}

function withStates(targets: Target[] | undefined, states: Map<string, Target['state']>): Target[] | undefined {
  return targets?.map((target) => {
    const state = states.get(target.id)
    return state === undefined || state === target.state ? target : { ...target, state }
  })
}

function targetsKey(syncId: string): string[] {
  return ['syncs', syncId, 'targets']
}

function loadTargets(id: string, spaceId?: string): Promise<Target[]> {
  return loadAll((cursor) =>
    call(
      api.GET('/api/v1/syncs/{id}/targets', {
        params: {
          path: { id },
          query: { limit: ONE_READING, ...(spaceId === undefined ? {} : { spaceId }), ...at(cursor) },
        },
      }),
    ),
  )
}
