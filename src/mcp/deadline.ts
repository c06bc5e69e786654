/** One time limit and one abort signal for everything an operation does. */
export type Deadline = {
  /** Aborted by the caller's signal, with its reason, or when the time is over. */
  signal: AbortSignal
  /** True when the time was over before the caller aborted. */
  expired(): boolean
  /** Settles like `work`, or rejects with the signal's reason as soon as it is aborted, even if `work` never settles. */
  race<T>(work: Promise<T>): Promise<T>
  /** Stops the timer. */
  clear(): void
}

export function startDeadline(callerSignal: AbortSignal, timeoutMs: number): Deadline {
  const controller = new AbortController()
  let expired = false
  const onCallerAbort = (): void => controller.abort(callerSignal.reason)
  const timer = setTimeout(() => {
    expired = !controller.signal.aborted
    controller.abort(new DOMException('The time is over', 'TimeoutError'))
  }, timeoutMs)
  if (callerSignal.aborted) onCallerAbort()
  else callerSignal.addEventListener('abort', onCallerAbort, { once: true })
  return {
    signal: controller.signal,
    expired: () => expired,
    race: (work) => raceAbort(work, controller.signal),
    clear: () => {
      clearTimeout(timer)
      callerSignal.removeEventListener('abort', onCallerAbort)
    },
  }
}

async function raceAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  // The loser may reject later, when nobody listens any more.
  work.catch(() => {})
  const aborted = Promise.withResolvers<never>()
  const onAbort = (): void => aborted.reject(signal.reason)
  if (signal.aborted) onAbort()
  else signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([work, aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
