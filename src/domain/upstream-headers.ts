/** Headers that go to the MCP server: the instance's, and over them the pass-through ones (architecture §7). Pure. */
export function upstreamHeaders(
  instanceHeaders: Record<string, string>,
  passThrough: Record<string, string>,
): Record<string, string> {
  const merged = new Map<string, [string, string]>()
  for (const [name, value] of [...Object.entries(instanceHeaders), ...Object.entries(passThrough)]) {
    merged.set(name.toLowerCase(), [name, value])
  }
  return Object.fromEntries(merged.values())
}

/** Names a set of upstream headers without telling them: the key of a ToolSnapshot. `digest` is the store's keyed one. */
export function headerSetDigest(digest: (text: string) => string, headers: Record<string, string>): string {
  const canonical = Object.entries(headers)
    .map(([name, value]) => [name.toLowerCase(), value])
    .sort(([a = ''], [b = '']) => (a < b ? -1 : 1))
  return digest(`upstream-headers\u0000${JSON.stringify(canonical)}`)
}
