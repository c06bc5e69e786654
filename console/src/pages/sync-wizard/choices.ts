import type { Schemas } from '../../api/client.ts'

/** What an admin has chosen in the wizard so far. Lives in memory only: it may hold tokens and header values. */
export type Choices = {
  instanceIds: string[]
  platformId: string | null
  /** Every space the platform has when the run starts, instead of `spaceIds`. */
  everySpace: boolean
  spaceIds: string[]
  /** By `cellKey`; a cell that is not here takes its instance's default, or what Toolferry makes. */
  cells: Readonly<Record<string, Cell>>
  /** By instance: what holds in every space, present or chosen later, that decides nothing else itself. */
  defaults: Readonly<Record<string, Default>>
  writePolicy: WritePolicy
}

export type Expiry = NonNullable<Schemas['CellAuthorization']['expiresIn']>
export type WritePolicy = NonNullable<Schemas['SyncInput']['writePolicy']>
export type Headers = Record<string, string>

/** One instance in one space. */
export type Cell = {
  /** The admin's own token; absent: the one that is there, else one is made. */
  token?: string
  /** Absent: as for every space. */
  expiry?: Expiry | Keep
  headers?: Headers | Keep
}

/** As it is; never and the instance's own headers, for a new authorization. */
export type Keep = 'keep'

/** Never a token: it belongs to one cell. Absent: `Keep`. */
export type Default = { expiry?: Expiry; headers?: Headers }

/** In an authorization: every selected space that no other one names. */
export const EVERY_SPACE = 'all'

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
    defaults: {},
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
  return { ...kept, platformId: null, everySpace: false, spaceIds: [], cells: {}, defaults: {} }
}

/** Another platform has other spaces: what was chosen for the former one would mean nothing there. */
export function withPlatform(choices: Choices, platformId: string): Choices {
  if (choices.platformId === platformId) return choices
  return { ...choices, platformId, everySpace: false, spaceIds: [], cells: {}, defaults: {} }
}

export function withCell(choices: Choices, key: string, change: { [K in keyof Cell]?: Cell[K] | undefined }): Choices {
  const cell = { ...choices.cells[key], ...change }
  const kept = Object.fromEntries(Object.entries(cell).filter(([, value]) => value !== undefined))
  return { ...choices, cells: { ...choices.cells, [key]: kept } }
}

/** Expiry or headers for every space of an instance, whatever was chosen for single ones; `Keep` takes it back. */
export function withDefault<K extends keyof Default>(
  choices: Choices,
  instanceId: string,
  part: K,
  value: NonNullable<Default[K]> | Keep,
): Choices {
  const { [part]: _former, ...rest } = choices.defaults[instanceId] ?? {}
  const cells = Object.entries(choices.cells).map(([key, cell]): [string, Cell] => {
    if (!key.startsWith(`${instanceId}/`)) return [key, cell]
    const { [part]: _own, ...others } = cell
    return [key, others]
  })
  return {
    ...choices,
    cells: Object.fromEntries(cells),
    defaults: { ...choices.defaults, [instanceId]: value === 'keep' ? rest : { ...rest, [part]: value } },
  }
}

/** What holds for one cell: its own, else what was chosen for every space. Absent: as it is. */
export function cellIn(choices: Choices, instanceId: string, spaceId: string): Default & { token?: string } {
  const { token, expiry, headers } = { ...choices.defaults[instanceId], ...choices.cells[cellKey(instanceId, spaceId)] }
  return {
    ...(token === undefined ? {} : { token }),
    ...(expiry === undefined || expiry === 'keep' ? {} : { expiry }),
    ...(headers === undefined || headers === 'keep' ? {} : { headers }),
  }
}

/**
 * The body of POST /syncs. `spaceIds` are all that are selected, whatever a search shows or hides; what was entered for
 * cells that are no longer selected is left out.
 */
export function syncInput(choices: Choices, platformId: string, spaceIds: string[]): Schemas['SyncInput'] {
  const authorizations = choices.instanceIds.flatMap((instanceId) => {
    const forAll = choices.defaults[instanceId] ?? {}
    const named = spaceIds.flatMap((spaceId) => {
      if (choices.cells[cellKey(instanceId, spaceId)] === undefined) return []
      const cell = cellIn(choices, instanceId, spaceId)
      // One that names a space stands alone there: it says what holds for every space once more.
      const isOwn = cell.token !== undefined || cell.expiry !== forAll.expiry || cell.headers !== forAll.headers
      return isOwn ? [authorization(instanceId, spaceId, cell)] : []
    })
    return Object.keys(forAll).length === 0 ? named : [authorization(instanceId, EVERY_SPACE, forAll), ...named]
  })
  return {
    platformId,
    instanceIds: choices.instanceIds,
    spaceIds: choices.everySpace ? 'all' : spaceIds,
    authorizations,
    writePolicy: choices.writePolicy,
    dryRun: true,
  }
}

function authorization(
  instanceId: string,
  spaceId: string,
  { token, expiry, headers }: ReturnType<typeof cellIn>,
): Schemas['CellAuthorization'] {
  return {
    instanceId,
    spaceId,
    ...(token === undefined ? {} : { token }),
    ...(expiry === undefined ? {} : { expiresIn: expiry }),
    ...(headers === undefined ? {} : { passThroughHeaders: headers }),
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
