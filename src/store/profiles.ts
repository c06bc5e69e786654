import { newId } from '../domain/ids.ts'
import type { ProfileSchedule } from '../domain/schedule.ts'
import type { ToolsPolicy } from '../domain/tool-change.ts'
import type { Db, Tx } from './client.ts'
import {
  afterId,
  jsonOrNull,
  type Page,
  type PageRequest,
  pageSize,
  parseJson,
  parseJsonOrNull,
  toPage,
} from './columns.ts'
import { NotFoundError, StaleWriteError, StoreError } from './errors.ts'
import type { SyncProfile } from './generated/sqlite/client.ts'
import type { Store } from './store.ts'
import type { WritePolicy } from './syncs.ts'
import { isUniqueViolation } from './transaction.ts'

export type DriftPolicy = 'report' | 'heal'
/** "all": also those that come later. */
export type ProfileSelection = { instanceIds: string[] | 'all'; spaceIds: string[] | 'all' }

export type ProfileRecord = {
  id: string
  platformId: string
  name: string
  selection: ProfileSelection
  writePolicy: WritePolicy
  driftPolicy: DriftPolicy
  /** What happens when an MCP server offers other tools than were deployed. */
  onToolsChanged: ToolsPolicy
  /** Its runs replace minted tokens that are older; null: as the installation says. */
  rotateAfterDays: number | null
  schedule: ProfileSchedule | null
  paused: boolean
  pauseReason: string | null
  rowVersion: number
  createdAt: Date
  updatedAt: Date
}

export type NewProfile = {
  platformId: string
  name: string
  selection: ProfileSelection
  writePolicy?: WritePolicy
  driftPolicy?: DriftPolicy
  onToolsChanged?: ToolsPolicy
  rotateAfterDays?: number | null
  schedule?: ProfileSchedule | null
}

export type ProfilePatch = Partial<Omit<NewProfile, 'platformId'>> & { paused?: boolean; pauseReason?: string | null }

/** Throws StoreError `name_taken`. */
export async function createProfile(store: Store, input: NewProfile): Promise<ProfileRecord> {
  const now = new Date()
  const row = await refuseSameName(store, input.name, null, (tx) =>
    tx.syncProfile.create({
      data: {
        id: newId(),
        platformId: input.platformId,
        name: input.name,
        selection: JSON.stringify(input.selection),
        writePolicy: input.writePolicy ?? 'upsert-only',
        driftPolicy: input.driftPolicy ?? 'report',
        onToolsChanged: input.onToolsChanged ?? 'report',
        rotateAfterDays: input.rotateAfterDays ?? null,
        schedule: jsonOrNull(input.schedule),
        createdAt: now,
        updatedAt: now,
      },
    }),
  )
  return toProfile(row)
}

export async function getProfile(store: Store, id: string): Promise<ProfileRecord | null> {
  const row = await store.db.syncProfile.findUnique({ where: { id } })
  return row === null ? null : toProfile(row)
}

export async function listProfiles(
  store: Store,
  request: PageRequest & { platformId?: string | undefined } = {},
): Promise<Page<ProfileRecord>> {
  const size = pageSize(request)
  const rows = await store.db.syncProfile.findMany({
    where: {
      ...afterId(request.cursor),
      ...(request.platformId === undefined ? {} : { platformId: request.platformId }),
    },
    orderBy: { id: 'asc' },
    take: size + 1,
  })
  return toPage(rows, size, (row) => [row.id], toProfile)
}

/** `rowVersion`: as read, or null to write regardless. Throws NotFoundError, StaleWriteError, StoreError `name_taken`. */
export async function updateProfile(
  store: Store,
  id: string,
  rowVersion: number | null,
  patch: ProfilePatch,
): Promise<ProfileRecord> {
  const { selection, schedule, ...plain } = patch
  const row = await refuseSameName(store, patch.name, id, async (tx) => {
    const changed = await tx.syncProfile.updateMany({
      where: { id, ...(rowVersion === null ? {} : { rowVersion }) },
      data: {
        ...plain,
        ...(selection === undefined ? {} : { selection: JSON.stringify(selection) }),
        ...(schedule === undefined ? {} : { schedule: jsonOrNull(schedule) }),
        rowVersion: { increment: 1 },
        updatedAt: new Date(),
      },
    })
    const after = await tx.syncProfile.findUnique({ where: { id } })
    if (after === null) throw new NotFoundError('The profile')
    if (changed.count === 0) throw new StaleWriteError('The profile', after.rowVersion)
    return after
  })
  return toProfile(row)
}

/** Every profile, for the schedules. */
export async function allProfiles(store: Store): Promise<ProfileRecord[]> {
  return (await store.db.syncProfile.findMany({ orderBy: { id: 'asc' } })).map(toProfile)
}

export async function deleteProfile(store: Store, id: string): Promise<void> {
  const deleted = await store.write((tx) => tx.syncProfile.deleteMany({ where: { id } }))
  if (deleted.count === 0) throw new NotFoundError('The profile')
}

async function refuseSameName<T>(
  store: Store,
  name: string | undefined,
  ownId: string | null,
  work: (tx: Tx) => Promise<T>,
): Promise<T> {
  try {
    return await store.write(async (tx) => {
      await refuseName(tx, name, ownId)
      return work(tx)
    })
  } catch (error) {
    if (isUniqueViolation(error)) await refuseName(store.db, name, ownId)
    throw error
  }
}

async function refuseName(db: Db, name: string | undefined, ownId: string | null): Promise<void> {
  if (name === undefined) return
  const same = await db.syncProfile.findUnique({ where: { name } })
  if (same !== null && same.id !== ownId) {
    throw new StoreError('name_taken', `There is already a profile named "${name}". Choose another name.`, 'name')
  }
}

function toProfile(row: SyncProfile): ProfileRecord {
  return {
    ...row,
    selection: parseJson<ProfileSelection>(row.selection),
    schedule: parseJsonOrNull<ProfileSchedule>(row.schedule),
    // The store wrote these words itself.
    writePolicy: row.writePolicy as WritePolicy,
    driftPolicy: row.driftPolicy as DriftPolicy,
    onToolsChanged: row.onToolsChanged === 'sync' ? 'sync' : 'report',
  }
}
