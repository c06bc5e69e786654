import type { Schemas } from '../../api/client.ts'

/** What an admin has chosen in the wizard so far. Lives in memory only: it may hold tokens and header values. */
export type Choices = {
  instanceIds: string[]
  platformId: string | null
  /** Every space the platform has when the run starts, instead of `spaceIds`. */
  everySpace: boolean
  spaceIds: string[]
  /** By `cellKey`; a cell that is not here takes what Toolferry makes by default. */
  cells: Readonly<Record<string, Cell>>
  writePolicy: WritePolicy
}

export type Expiry = NonNullable<Schemas['CellAuthorization']['expiresIn']>
export type WritePolicy = NonNullable<Schemas['SyncInput']['writePolicy']>
export type Headers = Record<string, string>

/** One instance in one space. */
export type Cell = {
  /** The admin's own token; absent: the one that is there, else one is made. */
  token?: string
  /** Absent: as it is; never, for a new one. */
  expiry?: Expiry
  /** Absent: as they are; the instance's defaults, for a new one. */
  headers?: Headers
}

export const EXPIRIES: readonly Expiry[] = ['7d', '15d', '30d', 'permanent']

export function cellKey(instanceId: string, spaceId: string): string {
  return `${instanceId}/${spaceId}`
}

export function startChoices(instanceIds: string[], platformId: string | null): Choices {
  return {
    instanceIds: [...new Set(instanceIds)],
    platformId,
    everySpace: false,
    spaceIds: [],
    cells: {},
    writePolicy: 'upsert-only',
  }
}

/** What an address or an earlier moment named and can be synced no longer, or never could be: an id, or the platform. */
export type Gone = { instanceIds: string[]; platform: boolean }

/** The choices without what is not there; the same object when everything is. */
export function withKnown(
  choices: Choices,
  known: { instanceIds: ReadonlySet<string>; platformIds: ReadonlySet<string> },
): Choices {
  const { platformId } = choices
  const instanceIds = choices.instanceIds.filter((id) => known.instanceIds.has(id))
  const kept = instanceIds.length === choices.instanceIds.length ? choices : { ...choices, instanceIds }
  if (platformId === null || known.platformIds.has(platformId)) return kept
  return { ...kept, platformId: null, everySpace: false, spaceIds: [], cells: {} }
}

/** Another platform has other spaces: what was chosen for the former one would mean nothing there. */
export function withPlatform(choices: Choices, platformId: string): Choices {
  if (choices.platformId === platformId) return choices
  return { ...choices, platformId, everySpace: false, spaceIds: [], cells: {} }
}

export function withCell(choices: Choices, key: string, change: { [K in keyof Cell]?: Cell[K] | undefined }): Choices {
  const cell = { ...choices.cells[key], ...change }
  const kept = Object.fromEntries(Object.entries(cell).filter(([, value]) => value !== undefined))
  return { ...choices, cells: { ...choices.cells, [key]: kept } }
}

/** Expiry and headers of one cell for every space of its instance. Never the token: it belongs to one cell. */
export function withCellsOf(
  choices: Choices,
  instanceId: string,
  spaceIds: string[],
  change: { expiry?: Expiry | undefined; headers?: Headers | undefined },
): Choices {
  return spaceIds.reduce((all, spaceId) => withCell(all, cellKey(instanceId, spaceId), change), choices)
}

/**
 * The body of POST /syncs. `spaceIds` are all that are selected, whatever a search shows or hides; what was entered for
 * cells that are no longer selected is left out.
 */
export function syncInput(choices: Choices, platformId: string, spaceIds: string[]): Schemas['SyncInput'] {
  const authorizations = choices.instanceIds.flatMap((instanceId) =>
    spaceIds.flatMap((spaceId) => {
      const cell = choices.cells[cellKey(instanceId, spaceId)]
      if (cell === undefined || Object.keys(cell).length === 0) return []
      return [
        {
          instanceId,
          spaceId,
          ...(cell.token === undefined ? {} : { token: cell.token }),
          ...(cell.expiry === undefined ? {} : { expiresIn: cell.expiry }),
          ...(cell.headers === undefined ? {} : { passThroughHeaders: cell.headers }),
        },
      ]
    }),
  )
  return {
    platformId,
    instanceIds: choices.instanceIds,
    spaceIds: choices.everySpace ? 'all' : spaceIds,
    authorizations,
    writePolicy: choices.writePolicy,
    dryRun: true,
  }
}

/** Which cell each field error of POST /syncs is about ("authorizations[3].token"), by `cellKey`. */
export function cellErrors(
  input: Schemas['SyncInput'],
  errors: readonly { field: string; message: string }[],
): Record<string, string> {
  const found: Record<string, string> = {}
  for (const { field, message } of errors) {
    const index = /^authorizations\[(\d+)\]/.exec(field)?.[1]
    const cell = index === undefined ? undefined : input.authorizations?.[Number(index)]
    if (cell !== undefined) found[cellKey(cell.instanceId, cell.spaceId)] = message
  }
  return found
}
