/**
 * When a COZE login is expected to end, from its sid_guard (`<sid>|<issued, s>|<ttl, s>|<date>`, URL-encoded); null when the
 * text has none. A hint only: the platform has the last word.
 */
export function cookieEnd(cookie: string): Date | null {
  const value = /(?:^|[;\s:])sid_guard=([^;\s]+)/.exec(cookie)?.[1]
  if (value === undefined) return null
  const [, issued, ttl] = decoded(value).split('|')
  const endMs = (Number(issued) + Number(ttl)) * 1000
  return Number.isFinite(endMs) && endMs > 0 && endMs < 8.64e15 ? new Date(endMs) : null
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    return value
  }
}
