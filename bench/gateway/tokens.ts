import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { newIds } from '../../src/store/columns.ts'
import { createInstances } from '../../src/store/instances.ts'
import { createPlatform } from '../../src/store/platforms.ts'
import { allSpaces, upsertSpaces } from '../../src/store/spaces.ts'
import type { Store } from '../../src/store/store.ts'
import { mintTokensFor } from '../../src/store/tokens.ts'
import { createDatabase } from './mariadb.ts'
import { memoryOf, type Started } from './process.ts'
import { createInstallation, type Installation } from './product.ts'
import { measureTrials, type RevocationFigures } from './revocation.ts'

export type TokenFigures = {
  shape: string
  tokens: number
  /** From the start of the process to its first 200 on /readyz. */
  startMs: number
  /** Of the gateway's process once it is calm, and at its highest. */
  residentBytes: number
  ownBytes: number
  peakBytes: number
  revocation: RevocationFigures
}

const INSTANCES = 100
const CHUNK = 2_000
const CALM_MS = 3_000

/** A gateway in front of a real store with that many tokens, every second one with pass-through headers of its own. */
export async function measureTokens(upstreamUrl: string, tokens: number): Promise<TokenFigures[]> {
  return [await onSqlite(upstreamUrl, tokens), await onMariaDb(upstreamUrl, tokens)]
}

async function onSqlite(upstreamUrl: string, tokens: number): Promise<TokenFigures> {
  const installation = await createInstallation(null, upstreamUrl, (store) => fill(store, tokens))
  try {
    const { startMs, running, ...memory } = await startMeasured(installation)
    await running.stop()
    // A file: store belongs to one process, so the API that takes the PATCH is in the gateway's.
    const all = await installation.run('all')
    try {
      const revocation = await measureTrials('one process (all), SQLite', installation, all.origin, [all.origin])
      return { shape: 'SQLite', tokens, startMs, ...memory, revocation }
    } finally {
      await all.stop()
    }
  } finally {
    await installation.remove()
  }
}

async function onMariaDb(upstreamUrl: string, tokens: number): Promise<TokenFigures> {
  const database = await createDatabase()
  const roles: Started[] = []
  try {
    const installation = await createInstallation(database.url, upstreamUrl, (store) => fill(store, tokens))
    const { startMs, running, ...memory } = await startMeasured(installation)
    roles.push(running)
    const api = await installation.run('api', { TEMPORAL_ADDRESS: '127.0.0.1:1' })
    roles.push(api)
    const revocation = await measureTrials('api + gateway, MariaDB', installation, api.origin, [running.origin])
    await installation.remove()
    return { shape: 'MariaDB', tokens, startMs, ...memory, revocation }
  } finally {
    await Promise.all(roles.map((role) => role.stop()))
    await database.drop()
  }
}

async function startMeasured(installation: Installation) {
  const startedMs = performance.now()
  // As docker-compose.yml starts it.
  const running = await installation.run('gateway', { NODE_OPTIONS: '--max-semi-space-size=16' })
  const startMs = performance.now() - startedMs
  await sleep(CALM_MS)
  return { startMs, running, ...(await memoryOf(running.pid)) }
}

/** As many bindings in spaces of one platform, each with the token that a sync would have minted. */
async function fill(store: Store, tokens: number): Promise<void> {
  const platform = await createPlatform(store, {
    kind: 'dify',
    name: 'Large',
    remoteKey: randomBytes(32).toString('hex'),
    settings: { edition: 'community', database: { host: '127.0.0.1' } },
    credential: { password: 'none' },
  })
  const spaces = Array.from({ length: Math.ceil(tokens / INSTANCES) }, (_, index) => ({
    remoteId: `space-${index}`,
    name: `Space ${index}`,
    ownerName: null,
    ownerEmail: null,
    role: null,
    archived: false,
    problem: null,
  }))
  await upsertSpaces(store, platform.id, spaces)
  const kept = await allSpaces(store, platform.id)
  const instances = await createInstances(
    store,
    Array.from({ length: INSTANCES }, (_, index) => ({
      name: `large ${index}`,
      transport: 'streamable-http' as const,
      url: `http://127.0.0.1:1/${index}`,
      headers: { 'X-Upstream-Key': `upstream-secret-${index}` },
    })),
  )
  const cells = instances.flatMap(({ id }) => kept.map((space) => ({ instanceId: id, spaceId: space.id })))
  for (let from = 0; from < tokens; from += CHUNK) {
    const chunk = cells.slice(from, Math.min(from + CHUNK, tokens))
    const ids = newIds(chunk.length)
    const now = new Date()
    await store.write((tx) =>
      tx.binding.createMany({
        data: chunk.map((cell, index) => {
          const id = ids[index] ?? ''
          const place = { table: 'Binding', column: 'sealedPassThrough', rowId: id }
          const own = JSON.stringify({
            'X-Tenant': `tenant-${from + index}`,
            'X-Tenant-Key': randomBytes(16).toString('hex'),
          })
          const sealedPassThrough = index % 2 === 0 ? store.sealer.seal(place, own) : null
          return { id, ...cell, sealedPassThrough, tags: '[]', revision: 1, createdAt: now, updatedAt: now }
        }),
      }),
    )
    await mintTokensFor(store, ids)
  }
}
