import { newId } from '../domain/ids.ts'
import type { PlatformKind, RemoteSpace } from '../platforms/platform.ts'
import {
  chunksOf,
  clip,
  clipOrNull,
  decodeCursor,
  type Page,
  type PageRequest,
  pageSize,
  readInChunks,
  toPage,
} from './columns.ts'
import type { Space } from './generated/sqlite/client.ts'
import { getPlatforms, type PlatformRecord } from './platforms.ts'
import type { Store } from './store.ts'

export type SpaceRecord = {
  id: string
  platformId: string
  remoteId: string
  name: string
  ownerName: string | null
  ownerEmail: string | null
  role: string | null
  archived: boolean
  /** Why nothing can be written there, or null. */
  problem: string | null
  /** Since when the space is cut off: what is bound there from then on starts disabled. */
  disabledAt: Date | null
  seenAt: Date
  createdAt: Date
  updatedAt: Date
}

export type SpacesRefreshed = { added: number; changed: number; vanished: number }

const VANISHED = 'The platform does not list this space any more. It was deleted there, or the account lost its access.'

/** Brings the platform's spaces to what it listed just now. One that is missing stays, archived, with the reason. */
export async function upsertSpaces(
  store: Store,
  platformId: string,
  remote: readonly RemoteSpace[],
): Promise<SpacesRefreshed> {
  const now = new Date()
  const listed = new Map(remote.map((space) => [clip(space.remoteId, 191), space]))
  const result: SpacesRefreshed = { added: 0, changed: 0, vanished: 0 }
  for (const chunk of chunksOf([...listed.entries()])) {
    await store
      .write(
        async (tx) => {
          const keys = chunk.map(([remoteId]) => remoteId)
          const rows = await tx.space.findMany({ where: { platformId, remoteId: { in: keys } } })
          const known = new Map(rows.map((row) => [row.remoteId, row]))
          const added = []
          const same: string[] = []
          const changed: { id: string; values: ReturnType<typeof valuesOf> }[] = []
          for (const [remoteId, space] of chunk) {
            const row = known.get(remoteId)
            const values = valuesOf(space)
            if (row === undefined) {
              added.push({ id: newId(), platformId, remoteId, ...values, seenAt: now, createdAt: now, updatedAt: now })
            } else if (isSame(row, values)) same.push(row.id)
            else changed.push({ id: row.id, values })
          }
          if (added.length > 0) await tx.space.createMany({ data: added })
          if (same.length > 0) await tx.space.updateMany({ where: { id: { in: same } }, data: { seenAt: now } })
          for (const { id, values } of changed) {
            await tx.space.updateMany({ where: { id }, data: { ...values, seenAt: now, updatedAt: now } })
          }
          return { added: added.length, changed: changed.length }
        },
        { retryUnique: true },
      )
      .then((counts) => {
        result.added += counts.added
        result.changed += counts.changed
      })
  }
  const vanished = await store.write(async (tx) => {
    const rows = await tx.space.findMany({
      where: { platformId },
      select: { id: true, remoteId: true, archived: true, problem: true },
    })
    const gone = rows
      .filter((row) => !listed.has(row.remoteId) && !(row.archived && row.problem === VANISHED))
      .map((row) => row.id)
    for (const chunk of chunksOf(gone)) {
      await tx.space.updateMany({
        where: { id: { in: chunk } },
        data: { archived: true, problem: VANISHED, updatedAt: now },
      })
    }
    return gone.length
  })
  return { ...result, vanished }
}

export async function getSpace(store: Store, id: string): Promise<SpaceRecord | null> {
  const [row] = await store.db.findRows('Space', { id })
  return row ?? null
}

export async function getSpaces(store: Store, ids: readonly string[]): Promise<SpaceRecord[]> {
  return readInChunks(ids, (chunk) => store.db.space.findMany({ where: { id: { in: chunk } } }))
}

/** By name. `search`: a part of the space's name or of its owner's name or e-mail, capitals or not (% and _ are SQL's wildcards). */
export async function listSpaces(
  store: Store,
  platformId: string,
  page: PageRequest & { search?: string | undefined; archived?: boolean | undefined } = {},
): Promise<Page<SpaceRecord>> {
  const size = pageSize(page)
  const key = decodeCursor(page.cursor, 2)
  const search = page.search === undefined || page.search === '' ? null : { contains: page.search }
  const rows = await store.db.space.findMany({
    where: {
      platformId,
      ...(page.archived === undefined ? {} : { archived: page.archived }),
      AND: [
        search === null
          ? {}
          : { OR: [{ name: search }, { ownerName: search }, { ownerEmail: search }, { remoteId: search }] },
        key === null ? {} : { OR: [{ name: { gt: key[0] ?? '' } }, { name: key[0] ?? '', id: { gt: key[1] ?? '' } }] },
      ],
    },
    orderBy: [{ name: 'asc' }, { id: 'asc' }],
    take: size + 1,
  })
  return toPage(
    rows,
    size,
    (row) => [row.name, row.id],
    (row): SpaceRecord => row,
  )
}

/** The ids of all spaces of the platform that can be written to: neither archived nor with a problem. */
export async function listUsableSpaceIds(store: Store, platformId: string): Promise<string[]> {
  const rows = await store.db.space.findMany({
    where: { platformId, archived: false, problem: null },
    orderBy: [{ name: 'asc' }, { id: 'asc' }],
    select: { id: true },
  })
  return rows.map((row) => row.id)
}

/** Every space of the platform, by name, archived ones only when asked for: for the selection "all". */
export async function allSpaces(
  store: Store,
  platformId: string,
  options: { archived?: boolean } = {},
): Promise<SpaceRecord[]> {
  return store.db.space.findMany({
    where: { platformId, ...(options.archived === true ? {} : { archived: false }) },
    orderBy: [{ name: 'asc' }, { id: 'asc' }],
  })
}

function valuesOf(space: RemoteSpace) {
  return {
    name: clip(space.name, 255),
    ownerName: clipOrNull(space.ownerName, 255),
    ownerEmail: clipOrNull(space.ownerEmail, 255),
    role: clipOrNull(space.role, 32),
    archived: space.archived,
    problem: space.problem,
  }
}

function isSame(row: Space, values: ReturnType<typeof valuesOf>): boolean {
  return (
    row.name === values.name &&
    row.ownerName === values.ownerName &&
    row.ownerEmail === values.ownerEmail &&
    row.role === values.role &&
    row.archived === values.archived &&
    row.problem === values.problem
  )
}

/** The platform of that kind, another one than `exceptId`, that has one of these spaces already; null when none has. */
export async function findPlatformOfSpaces(
  store: Store,
  kind: PlatformKind,
  remoteIds: readonly string[],
  exceptId: string | null = null,
): Promise<PlatformRecord | null> {
  const rows = await readInChunks(remoteIds, (chunk) =>
    store.db.space.findMany({ where: { remoteId: { in: chunk } }, select: { platformId: true } }),
  )
  const platforms = await getPlatforms(
    store,
    rows.map((row) => row.platformId),
  )
  return platforms.find((platform) => platform.kind === kind && platform.id !== exceptId) ?? null
}
