import type { Logger } from '../telemetry/logger.ts'
import type { GatewayLimits } from './limits.ts'
import type { GatewayCredential, GatewayInstance, GatewayRecords, GatewayView } from './view.ts'

export type LookUp = 'found' | 'unknown' | 'busy'

/** All that the gateway serves, in memory, following the view. */
export type Snapshot = {
  /** Loads everything, then follows. Rejects when the first load fails. */
  start(): Promise<void>
  ready(): boolean
  credential(hash: string): GatewayCredential | undefined
  instance(id: string): GatewayInstance | undefined
  /**
   * Asks the store for a hash that the snapshot does not have; when `found`, the snapshot has it now. `busy`: too many such
   * questions at one time, or the store did not answer: nothing is known about the token.
   */
  lookUp(hash: string): Promise<LookUp>
  /** Since the store was asked with success, ms. */
  ageMs(): number
  /** How many tokens are in memory. */
  size(): number
  /** The revision up to which every change is being obeyed. */
  seenRevision(): number
  /** True once `revision` is obeyed; false when that took longer than `timeoutMs`. */
  waitFor(revision: number, timeoutMs: number): Promise<boolean>
  /** Called after records changed or the seen revision rose. */
  onChange(listener: () => void): () => void
  close(): void
}

export type SnapshotOptions = {
  view: GatewayView
  logger: Logger
  limits: Pick<
    GatewayLimits,
    | 'pollIntervalMs'
    | 'unknownTtlMs'
    | 'maxUnknown'
    | 'maxRevoked'
    | 'maxLookups'
    | 'rereadAfterMs'
    | 'readTimeoutMs'
    | 'loadTimeoutMs'
  >
  /** Unix time in ms. */
  now: () => number
  /** Never goes back; ms. */
  monotonicMs: () => number
  /** Told when changes begin to be obeyed, with how long ago they were committed at most, ms. */
  onChanged?: (lagMs: number) => void
}

/** Of one look-up that changes get in the way of. */
const LOOK_UP_TRIES = 5

export function createSnapshot(options: SnapshotOptions): Snapshot {
  const { view, logger, limits, now, monotonicMs } = options
  let instances = new Map<string, GatewayInstance>()
  let credentials = new Map<string, GatewayCredential>()
  let seen = -1
  let closed = false
  let failing = false
  let refreshing: Promise<void> | null = null
  let again = false
  let timer: NodeJS.Timeout | null = null
  /** When the last reading that succeeded was begun: what it did not see is younger. */
  let freshAtMs = monotonicMs()
  /** When that reading came to its end, by both clocks: of a machine that was suspended only the time of day tells. */
  let readAt = { monotonicMs: freshAtMs, unixMs: now() }
  /** When the first commit that is not yet obeyed was told of. */
  let toldAtMs: number | null = null
  let unsubscribe: (() => void) | null = null
  const unknown = new Map<string, number>()
  /** Of the credentials in memory, in the order in which that was learnt. */
  const revoked = new Set<string>()
  const lookUps = new Map<string, Promise<LookUp>>()
  const listeners = new Set<() => void>()

  const notify = (): void => {
    for (const listener of listeners) listener()
  }

  const merge = (records: Omit<GatewayRecords, 'revision'>): void => {
    for (const instance of records.instances) {
      const known = instances.get(instance.id)
      if (known === undefined || known.revision <= instance.revision) instances.set(instance.id, instance)
    }
    for (const credential of records.credentials) {
      const known = credentials.get(credential.hash)
      if (known === undefined || known.revision <= credential.revision) keep(credential)
    }
  }

  /** Tokens are replaced again and again: of those that are revoked only the latest stay, the others are looked up if they come. */
  const keep = (credential: GatewayCredential): void => {
    const { hash } = credential
    credentials.set(hash, credential)
    revoked.delete(hash)
    if (credential.state !== 'revoked') return
    revoked.add(hash)
    const [oldest] = revoked
    if (revoked.size <= limits.maxRevoked || oldest === undefined) return
    revoked.delete(oldest)
    credentials.delete(oldest)
  }

  const replace = (records: GatewayRecords): void => {
    // Entry by entry: a list of pairs of 100,000 tokens would be garbage at the moment of the largest heap.
    instances = new Map()
    for (const instance of records.instances) instances.set(instance.id, instance)
    credentials = new Map()
    revoked.clear()
    for (const credential of records.credentials) keep(credential)
    seen = records.revision
  }

  const refreshOnce = async (): Promise<void> => {
    const beganMs = monotonicMs()
    const oldestMs = toldAtMs ?? freshAtMs
    toldAtMs = null
    const awayMs = Math.max(beganMs - readAt.monotonicMs, now() - readAt.unixMs)
    const changes = await inTime(view.changesSince(seen), limits.readTimeoutMs)
    const isNews = changes.revision !== seen || changes.instances.length > 0 || changes.credentials.length > 0
    // A store that went back (restored from a backup) has told us nothing that can be merged, nor may one that has meanwhile
    // deleted what was revoked.
    const isWhole = changes.revision < seen || awayMs > limits.rereadAfterMs
    if (isWhole) replace(await inTime(view.loadAll(), limits.loadTimeoutMs))
    else {
      merge(changes)
      seen = changes.revision
    }
    freshAtMs = beganMs
    readAt = { monotonicMs: monotonicMs(), unixMs: now() }
    if (isNews || isWhole) notify()
    if (isNews) options.onChanged?.(monotonicMs() - oldestMs)
  }

  const refreshAll = async (): Promise<void> => {
    do {
      again = false
      try {
        await refreshOnce()
        if (failing) logger.info({ revision: seen }, 'gateway: following the store again')
        failing = false
      } catch (error) {
        if (!failing) logger.warn({ err: error }, 'gateway: the store does not answer; serving what is known')
        failing = true
      }
    } while (again && !closed)
  }

  /** One refresh at a time; a wish that comes meanwhile is served by one more round. */
  const refresh = (): void => {
    if (closed || seen === -1) return
    if (refreshing !== null) {
      again = true
      return
    }
    refreshing = refreshAll().finally(() => {
      refreshing = null
    })
  }

  const poll = (): void => {
    timer = setTimeout(() => {
      refresh()
      poll()
    }, limits.pollIntervalMs)
    timer.unref()
  }

  const askStore = async (hash: string): Promise<LookUp> => {
    try {
      for (let tries = 0; tries < LOOK_UP_TRIES; tries++) {
        const atRevision = seen
        const found = await inTime(view.findByHash(hash), limits.readTimeoutMs)
        if (found === null) {
          remember(hash)
          return 'unknown'
        }
        // Read before a change that is obeyed by now, it may be what that change has ended: a record that is no longer
        // in memory could not tell.
        if (seen !== atRevision) continue
        merge({ instances: [found.instance], credentials: [found.credential] })
        return 'found'
      }
      return 'busy'
    } catch (error) {
      logger.warn({ err: error }, 'gateway: a token could not be looked up')
      return 'busy'
    } finally {
      lookUps.delete(hash)
    }
  }

  const remember = (hash: string): void => {
    unknown.delete(hash)
    const oldest = unknown.keys().next()
    if (unknown.size >= limits.maxUnknown && oldest.done !== true) unknown.delete(oldest.value)
    unknown.set(hash, now() + limits.unknownTtlMs)
  }

  return {
    async start() {
      // Subscribed first, so that nothing falls between the load and the following.
      unsubscribe ??= view.onRevision((revision) => {
        if (revision <= seen) return
        toldAtMs ??= monotonicMs()
        refresh()
      })
      freshAtMs = monotonicMs()
      replace(await view.loadAll())
      readAt = { monotonicMs: monotonicMs(), unixMs: now() }
      notify()
      if (closed) return
      refresh()
      poll()
    },
    ready: () => seen !== -1 && !closed,
    credential: (hash) => credentials.get(hash),
    instance: (id) => instances.get(id),
    lookUp(hash) {
      const until = unknown.get(hash)
      if (until !== undefined) {
        if (until > now()) return Promise.resolve('unknown')
        unknown.delete(hash)
      }
      const running = lookUps.get(hash)
      if (running !== undefined) return running
      if (lookUps.size >= limits.maxLookups) return Promise.resolve('busy')
      const asked = askStore(hash)
      lookUps.set(hash, asked)
      return asked
    },
    ageMs: () => monotonicMs() - freshAtMs,
    size: () => credentials.size,
    seenRevision: () => seen,
    waitFor(revision, timeoutMs) {
      if (seen >= revision) return Promise.resolve(true)
      return new Promise((resolve) => {
        const settle = (): void => {
          clearTimeout(limit)
          listeners.delete(check)
          resolve(seen >= revision)
        }
        const check = (): void => {
          if (seen >= revision || closed) settle()
        }
        const limit = setTimeout(settle, timeoutMs)
        listeners.add(check)
        refresh()
      })
    },
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    close() {
      closed = true
      if (timer !== null) clearTimeout(timer)
      unsubscribe?.()
      notify()
      listeners.clear()
    },
  }
}

/** A reading that hangs must not keep the next one from being tried. */
function inTime<T>(reading: Promise<T>, limitMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('The store did not answer in time.')), limitMs)
    reading.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
