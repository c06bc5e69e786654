/**
 * Runs `work` over `items`, at most `width` at a time, in order. `mayStart` is asked before each item: false ends the intake,
 * and the items not started are answered. Every started promise is awaited before this returns or throws.
 */
export async function drainPool<T>(
  items: readonly T[],
  width: number,
  mayStart: () => boolean,
  work: (item: T) => Promise<void>,
): Promise<{ notStarted: T[] }> {
  let next = 0
  let open = true
  const failures: unknown[] = []
  const runner = async () => {
    while (open && next < items.length && failures.length === 0) {
      open = mayStart()
      if (!open) return
      const item = items[next++] as T
      try {
        await work(item)
      } catch (failure) {
        failures.push(failure)
      }
    }
  }
  await Promise.all(Array.from({ length: Math.max(1, Math.min(width, items.length)) }, runner))
  if (failures.length > 0) throw failures[0]
  return { notStarted: items.slice(next) }
}
