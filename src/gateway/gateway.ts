import type { Registry } from 'prom-client'
import type { EgressPolicy } from '../egress/policy.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { Address } from './address.ts'
import { addressOf } from './address.ts'
import { bareToken, holdsMinted, isMistyped, judgeCredential, presentedToken, queryToken, subjectOf } from './auth.ts'
import type { BodyBudget, BodyOutcome } from './body.ts'
import { readBody } from './body.ts'
import { createBreaker } from './breaker.ts'
import { Call } from './call.ts'
import type { ClientRequest, ClientResponse } from './client.ts'
import { Exchange } from './exchange.ts'
import { grantOf } from './grant.ts'
import type { GatewayJournal } from './journal.ts'
import { judgeBody } from './judge-body.ts'
import type { GatewayLimits } from './limits.ts'
import { DEFAULT_LIMITS } from './limits.ts'
import { createGatewayMetrics } from './metrics.ts'
import { OpenCalls } from './open-calls.ts'
import { isOwnHost, isOwnOrigin } from './own-origin.ts'
import { planExchange } from './plan-exchange.ts'
import type { RefusalCode } from './refusal.ts'
import { NO_IDS, sendRefusal } from './refusal.ts'
import type { RequestBody } from './request-body.ts'
import type { Route } from './route.ts'
import { parseRoute } from './route.ts'
import { idsIn } from './rpc.ts'
import { createSubjectSeal } from './session.ts'
import { createSnapshot } from './snapshot.ts'
import { createThrottle, type Throttle, type Throttled } from './throttle.ts'
import { createTokenHashes } from './token-hashes.ts'
import type { ToolHints } from './tool-hints.ts'
import { createUpstreams } from './upstreams.ts'
import type { GatewayView } from './view.ts'

export type GatewayOptions = {
  view: GatewayView
  journal: GatewayJournal
  /** Told when an upstream says that its tools have changed. */
  toolHints?: Pick<ToolHints, 'announced'>
  egress: EgressPolicy
  logger: Logger
  /** 32 bytes or more, the same for every replica: sessions sealed by one are opened by all. */
  sealingKey: Buffer
  /** Web origins (`https://host[:port]`) that may call: our own and the public one. Read at every request, so it may be filled after listening. */
  ownOrigins: () => readonly string[]
  /** A proxy before us takes a path off (the public URL has one). Default false. */
  belowPath?: boolean
  limits?: Partial<GatewayLimits>
  /** Who counts for the limits of a subject; this gateway by itself unless given. */
  throttle?: Throttle
  /** Where the gateway registers its metrics, if anywhere. */
  metrics?: Registry
  /** Unix time in ms. */
  now?: () => number
  /** Never goes back; ms. */
  monotonicMs?: () => number
}

export type Gateway = {
  /** Loads the snapshot and begins to follow the store; until then requests get 503. Rejects when the store cannot be read. */
  start(): Promise<void>
  /** `/mcp-gateway/*` and `/.well-known/oauth-*`; anything else is 404 (see `isGatewayTarget`). */
  handle(req: ClientRequest, res: ClientResponse): void
  ready(): boolean
  /** Why it serves nobody, for /readyz; null when it serves. */
  problem(): string | null
  /** The revision that this replica obeys. */
  seenRevision(): number
  /** True once `revision` is obeyed, streams included; false after `timeoutMs`. */
  waitFor(revision: number, timeoutMs: number): Promise<boolean>
  /** Told whenever the seen revision may have risen: the role reports it as GatewayReplica. */
  onSeen(listener: (revision: number) => void): () => void
  /** Requests to upstreams that are open now, streams included. */
  openCount(): number
  /**
   * Ends what would last for ever, lets everything else finish for `drainMs`, then ends it; connections close behind their
   * answers. Requests that still come are served. To be called when the listener has stopped listening.
   */
  drain(): Promise<void>
  /** Drains and lets go of everything. */
  close(): Promise<void>
}

const METHODS: Record<Route['kind'], readonly string[]> = {
  mcp: ['GET', 'POST', 'DELETE'],
  sse: ['GET'],
  'sse-post': ['POST'],
}

const MAX_TOKEN_HASHES = 10_000

type AdmittedAddress = Extract<Address, { refusal: null }>

/** The data path between agent platforms and MCP servers (architecture §7). Keeps no state of its own that a replica would miss. */
export function createGateway(options: GatewayOptions): Gateway {
  const { view, journal, logger, ownOrigins, now = Date.now, monotonicMs = () => performance.now() } = options
  const limits: GatewayLimits = { ...DEFAULT_LIMITS, ...options.limits }
  const seal = createSubjectSeal(options.sealingKey)
  const throttle = options.throttle ?? createThrottle(monotonicMs)
  const breaker = createBreaker(limits, monotonicMs)
  const onChanged = (lagMs: number): void => reports.metrics?.changed(lagMs / 1000)
  const snapshot = createSnapshot({ view, logger, limits, now, monotonicMs, onChanged })
  const budget: BodyBudget = { usedBytes: 0, maxBytes: limits.requestBudgetBytes }
  const upstreams = createUpstreams(options.egress)
  const calls = new OpenCalls()
  const reports = {
    journal,
    metrics:
      options.metrics === undefined
        ? null
        : createGatewayMetrics(options.metrics, {
            openRequests: () => calls.exchanges().length,
            openStreams: () => calls.exchanges().filter((exchange) => exchange.isStream()).length,
            snapshotAgeSeconds: () => snapshot.ageMs() / 1000,
            credentials: () => snapshot.size(),
            journalDropped: () => journal.dropped?.() ?? 0,
          }),
  }
  const closed = (call: Call): void => calls.delete(call)
  const hashes = createTokenHashes(view.tokenHash, MAX_TOKEN_HASHES)
  let draining = false
  let sweeper: NodeJS.Timeout | null = null

  /**
   * Whether the caller may go on, by what is known now; brings the call's records up to date. Asked twice of each request: before
   * its body is read, so that nobody without a right can have us hold one, and before it goes upstream, since a body may take
   * a minute and a right that has ended meanwhile must not be used. From then on `judgeOpen` asks.
   */
  const judge = (call: Call): RefusalCode | null => {
    if (isStale()) return 'store_away'
    const instance = snapshot.instance(call.route.instanceId)
    if (instance === undefined) return 'instance_unknown'
    const credential = call.hash === null ? undefined : snapshot.credential(call.hash)
    call.instance = instance
    call.credential = credential ?? null
    if (credential !== undefined) return judgeCredential(credential, instance, now)
    if (instance.status !== 'active') return 'instance_inactive'
    if (instance.accessMode === 'anonymous') return isOwnHost(call.req, ownOrigins()) ? null : 'host_refused'
    return call.hash === null ? 'credential_missing' : 'credential_unknown'
  }

  const isStale = (): boolean => snapshot.ageMs() > limits.maxStaleMs

  const judgeOpen = (): void => {
    for (const exchange of calls.exchanges()) {
      const code = judge(exchange.call)
      if (code !== null) exchange.cut(code)
    }
  }

  /** Who calls? Known tokens are judged at once; an unknown one is looked up in the store first. */
  const admit = (call: Call): void => {
    const instance = snapshot.instance(call.route.instanceId)
    call.token = presentedToken(call.req.headers, instance?.forwardAuthorization === true)
    if (call.token === null && instance?.limits.tokenInQuery === true) {
      call.token = queryToken(call.req.url ?? '')
      call.tokenInQuery = call.token !== null
    }
    call.hash = call.token === null ? null : hashes.of(call.token)
    // A mistyped or made-up token of ours shows in its check characters: no need to ask the store.
    const isKnown = call.hash !== null && snapshot.credential(call.hash) !== undefined
    if (isKnown && call.token !== null && call.hash !== null) hashes.keep(call.token, call.hash)
    if (call.hash === null || isKnown || isMistyped(call.token)) {
      receive(call, judge(call))
      return
    }
    snapshot.lookUp(call.hash).then(
      (answer) =>
        guarded(call, () => {
          if (call.res.destroyed) return
          // The look-up may have brought an instance that says where its credential is to be looked for.
          const brought = snapshot.instance(call.route.instanceId)
          if (instance === undefined && brought?.forwardAuthorization === true) admit(call)
          else receive(call, answer === 'busy' ? 'gateway_busy' : judge(call))
        }),
      (error: unknown) => fail(call, error),
    )
  }

  const receive = (call: Call, verdict: RefusalCode | null): void => {
    const limited = verdict === null ? throttled(call) : null
    if (!(limited instanceof Promise)) {
      read(call, verdict, limited)
      return
    }
    limited.then(
      (answer) => guarded(call, () => read(call, null, answer)),
      (error: unknown) => {
        logger.warn({ err: error }, 'gateway: who counts for the limits could not be asked')
        guarded(call, () => read(call, 'gateway_busy', null))
      },
    )
  }

  /** Reads the body, also of a refused request: the refusal carries its id. */
  const read = (call: Call, verdict: RefusalCode | null, limited: Throttled | null): void => {
    // While it was asked who counts, the client may have left: nothing of its body comes any more.
    if (call.res.destroyed) return
    const refusal = verdict ?? limited?.code ?? null
    const address: Address = refusal === null ? addressOf(call, seal) : { refusal }
    if (limited !== null) call.retryAfterS = limited.retryAfterS
    if (call.req.method !== 'POST') {
      call.req.resume()
      if (address.refusal !== null) call.refuse(address.refusal)
      else forward(call, address, null)
      return
    }
    const maxBytes = address.refusal === null ? limits.maxRequestBytes : limits.refusedBodyBytes
    readBody(call.req, { maxBytes, budget, timeoutMs: limits.bodyTimeoutMs }, (outcome) =>
      guarded(call, () => received(call, address, outcome)),
    )
  }

  /** Takes the request from its subject's limits; it is given back when it is over. */
  const throttled = (call: Call): Throttled | null | Promise<Throttled | null> => {
    const { instance } = call
    if (instance === null || (instance.limits.requestsPerSecond == null && instance.limits.maxOpenRequests == null)) {
      return null
    }
    const key = `${instance.id}|${subjectOf(call.credential)}`
    const settle = (limited: Throttled | null): Throttled | null => {
      if (limited !== null) return limited
      if (call.res.destroyed) throttle.giveBack(key)
      else call.res.on('close', () => throttle.giveBack(key))
      return null
    }
    const taken = throttle.take(key, instance.limits)
    return taken instanceof Promise ? taken.then(settle) : settle(taken)
  }

  const received = (call: Call, address: Address, outcome: BodyOutcome): void => {
    if (outcome.kind === 'gone') return
    const body = outcome.kind === 'whole' ? outcome.body : null
    if (body !== null) {
      call.requestBytes = body.length
      call.whenReleased(() => {
        budget.usedBytes -= body.length
      })
    }
    if (address.refusal !== null) {
      if (body !== null) call.ids = idsIn(body.joined())
      call.refuse(address.refusal)
    } else if (body !== null) {
      forward(call, address, body)
    } else if (outcome.kind === 'too-large') {
      call.refuse('body_too_large')
    } else {
      call.refuse(outcome.kind === 'budget' ? 'gateway_busy' : 'body_timeout')
    }
  }

  const forward = (call: Call, address: AdmittedAddress, body: RequestBody | null): void => {
    const verdict = judge(call)
    const { instance } = call
    if (verdict !== null || instance === null) {
      if (body !== null) call.ids = idsIn(body.joined())
      call.refuse(verdict ?? 'instance_unknown')
      return
    }
    const grant = grantOf(instance, call.credential)
    const request = body === null ? null : judgeBody(call, grant.tools, body.joined())
    if (typeof request === 'string') {
      call.refuse(request)
      return
    }
    const suspended = breaker.admit(instance)
    if (suspended !== null) {
      call.refuse('upstream_suspended', suspended)
      return
    }
    const plan = planExchange({
      call,
      instance,
      grant,
      address,
      message: body === null ? null : { body, request },
      forwardedAuthorization: instance.forwardAuthorization ? foreignAuthorization(call) : null,
      seal,
      limits,
      belowPath: options.belowPath ?? false,
      releaseBody: () => call.release(),
      onToolsAnnounced: () => options.toolHints?.announced(instance.id),
      onReached: () => breaker.reached(instance.id),
      onUnreachable: () => breaker.unreachable(instance),
    })
    const exchange = new Exchange(call, plan, limits)
    call.exchange = exchange
    exchange.start(upstreams)
  }

  /** The client's `Authorization`, unless it holds one of our own tokens: those never leave. */
  const foreignAuthorization = (call: Call): string | null => {
    const { authorization } = call.req.headers
    if (authorization === undefined || holdsMinted(authorization)) return null
    const token = bareToken(authorization)
    return token !== null && snapshot.credential(view.tokenHash(token)) !== undefined ? null : authorization
  }

  const problem = (): string | null => {
    if (draining) return 'the gateway is shutting down'
    if (!snapshot.ready()) return 'the gateway has not read the store yet'
    if (isStale()) return 'the store does not answer; the gateway cannot tell any longer who may call and serves nobody'
    return null
  }

  const drain = async (): Promise<void> => {
    draining = true
    for (const { res } of calls.all()) if (!res.headersSent) res.shouldKeepAlive = false
    for (const exchange of calls.exchanges()) if (exchange.isOpenEnded()) exchange.cut('gateway_busy')
    await closedOrAfter(calls, limits.drainMs)
    for (const exchange of calls.exchanges()) exchange.cut('gateway_busy')
  }

  const guarded = (call: Call, work: () => void): void => {
    try {
      work()
    } catch (error) {
      fail(call, error)
    }
  }

  const fail = (call: Call, error: unknown): void => {
    logger.error({ err: error, instanceId: call.route.instanceId, method: call.method }, 'gateway: a request failed')
    call.refuse('internal_error')
  }

  return {
    async start() {
      snapshot.onChange(() => {
        hashes.clear()
        judgeOpen()
      })
      await snapshot.start()
      sweeper ??= setInterval(() => {
        judgeOpen()
        throttle.sweep()
      }, limits.sweepIntervalMs).unref()
    },
    handle(req, res) {
      const route = parseRoute(req.url ?? '')
      if (route === null) {
        req.resume()
        sendRefusal(res, 'not_found', NO_IDS)
        res.end()
        return
      }
      const call = new Call(req, res, route, reports, closed)
      calls.add(call)
      if (draining) res.shouldKeepAlive = false
      guarded(call, () => {
        const { origin } = req.headers
        call.instance = snapshot.instance(route.instanceId) ?? null
        if (origin !== undefined && !isOwnOrigin(origin, ownOrigins())) call.refuse('origin_refused')
        else if (!METHODS[route.kind].includes(req.method ?? '')) call.refuse('method_not_allowed')
        else if (!snapshot.ready()) call.refuse('gateway_busy')
        else admit(call)
      })
    },
    ready: () => problem() === null,
    problem,
    seenRevision: () => snapshot.seenRevision(),
    waitFor: (revision, timeoutMs) => snapshot.waitFor(revision, timeoutMs),
    onSeen: (listener) => snapshot.onChange(() => listener(snapshot.seenRevision())),
    openCount: () => calls.exchanges().length,
    drain,
    async close() {
      await drain()
      if (sweeper !== null) clearInterval(sweeper)
      snapshot.close()
      upstreams.close()
    },
  }
}

/** Until none is left, also of those that come meanwhile, or for `limitMs`. */
async function closedOrAfter(calls: OpenCalls, limitMs: number): Promise<void> {
  let isOver = false
  let giveUp = (): void => {}
  const limit = new Promise<void>((resolve) => {
    giveUp = resolve
  })
  const timer = setTimeout(() => {
    isOver = true
    giveUp()
  }, limitMs)
  for (let [call] = calls.all(); call !== undefined && !isOver; [call] = calls.all()) {
    const { res } = call
    await Promise.race([limit, new Promise<void>((resolve) => void res.on('close', resolve))])
  }
  clearTimeout(timer)
}
