import type { ExpiringToken } from '../domain/notices.ts'
import { parseJson, readInChunks } from './columns.ts'
import { postNotice } from './deliveries.ts'
import { getSetting, setSettingIn } from './settings.ts'
import type { Store } from './store.ts'

/** What is told of gateway tokens that end, by their own date or by that of their binding: a week before, and a day before. */

const SETTING = 'token-notices'
const DAY_MS = 24 * 3_600_000
const STEPS = [
  { withinDays: 7, notBeforeMs: DAY_MS },
  { withinDays: 1, notBeforeMs: 0 },
] as const
/** Those that are named; of the others it is said how many they are. */
export const NAMED = 20
const MAX_TOKENS = 1_000

/** Up to which end all has been told, by step. */
type Told = Partial<Record<'7' | '1', string>>

/**
 * Tells of all that have come within a step since the last time, in one notice a step; each is told once a step. Answers how many
 * there were. One that gets an end so near that its step has passed is not told: who gave it that end knows.
 */
export async function tellOfExpiringTokens(store: Store, now: Date = new Date()): Promise<number> {
  const text = await getSetting(store.db, SETTING)
  let told: Told = text === null ? {} : parseJson<Told>(text)
  let found = 0
  for (const { withinDays, notBeforeMs } of STEPS) {
    const until = new Date(now.getTime() + withinDays * DAY_MS)
    const earliest = new Date(now.getTime() + notBeforeMs)
    const before = new Date(told[withinDays] ?? 0)
    const { count, tokens } = await endingBetween(store, before > earliest ? before : earliest, until)
    told = { ...told, [withinDays]: until.toISOString() }
    const value = JSON.stringify(told)
    await store.write(async (tx) => {
      await setSettingIn(tx, SETTING, value)
      if (count === 0) return
      await postNotice(tx, `${withinDays}:${until.toISOString()}`, {
        type: 'token.expiring',
        data: { withinDays, count, tokens },
      })
    })
    found += count
  }
  return found
}

async function endingBetween(
  store: Store,
  after: Date,
  until: Date,
): Promise<{ count: number; tokens: ExpiringToken[] }> {
  const expiresAt = { gt: after, lte: until }
  const ending = { enabled: true, expiresAt }
  const [bindingCount, bindings, tokens] = await Promise.all([
    store.db.binding.count({ where: ending }),
    store.db.binding.findMany({ where: ending, orderBy: { expiresAt: 'asc' }, take: NAMED }),
    store.db.gatewayToken.findMany({
      where: { state: 'active', expiresAt },
      orderBy: { expiresAt: 'asc' },
      take: MAX_TOKENS,
    }),
  ])
  // A token ends with its binding at the latest, and one that is disabled is of no use to anybody.
  const bindingIds = tokens.flatMap((token) => token.bindingId ?? [])
  const theirs = await readInChunks(bindingIds, (ids) => store.db.binding.findMany({ where: { id: { in: ids } } }))
  const bindingOf = new Map(theirs.map((binding) => [binding.id, binding]))
  const own = tokens.filter((token) => {
    if (token.bindingId === null) return true
    const binding = bindingOf.get(token.bindingId)
    return binding?.enabled === true && !(binding.expiresAt !== null && binding.expiresAt <= until)
  })
  const cells = [
    ...bindings.map((binding) => ({ ...binding, bindingId: binding.id })),
    ...own.map((token) => ({
      bindingId: token.bindingId,
      instanceId: token.instanceId,
      spaceId: token.bindingId === null ? null : (bindingOf.get(token.bindingId)?.spaceId ?? null),
      expiresAt: token.expiresAt,
    })),
  ]
  const first = cells.sort((a, b) => (a.expiresAt?.getTime() ?? 0) - (b.expiresAt?.getTime() ?? 0)).slice(0, NAMED)
  return { count: bindingCount + own.length, tokens: await named(store, first) }
}

type Cell = { bindingId: string | null; instanceId: string; spaceId: string | null; expiresAt: Date | null }

async function named(store: Store, cells: readonly Cell[]): Promise<ExpiringToken[]> {
  const names = await namesOf(store, cells)
  return cells.map((cell) => ({
    bindingId: cell.bindingId,
    ...names(cell),
    expiresAt: cell.expiresAt?.toISOString() ?? '',
  }))
}

type Place = { instanceId: string; spaceId: string | null }

/** What people call these places. */
export async function namesOf(
  store: Pick<Store, 'db'>,
  places: readonly Place[],
): Promise<(place: Place) => { instanceName: string; spaceName: string | null }> {
  const select = { id: true, name: true }
  const [instances, spaces] = await Promise.all([
    store.db.mcpInstance.findMany({ where: { id: { in: places.map(({ instanceId }) => instanceId) } }, select }),
    store.db.space.findMany({ where: { id: { in: places.flatMap(({ spaceId }) => spaceId ?? []) } }, select }),
  ])
  const nameOf = new Map([...instances, ...spaces].map(({ id, name }) => [id, name]))
  return ({ instanceId, spaceId }) => ({
    instanceName: nameOf.get(instanceId) ?? '',
    spaceName: spaceId === null ? null : (nameOf.get(spaceId) ?? ''),
  })
}
