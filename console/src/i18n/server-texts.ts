/** The English texts of the server in the console's language; see components/server-text.ts. */

type Patterns = readonly (readonly [RegExp, string])[]

let patterns: Patterns = []

/** With the other texts of a language, before it is shown. */
export async function loadServerTexts(language: string): Promise<void> {
  patterns = language === 'zh' ? (await import('./server-texts-zh.ts')).SERVER_TEXTS_ZH : []
}

export function serverText(text: string): string {
  return translated(text, patterns) ?? text
}

/** By the first pattern that fits; "field: reason" by its reason. Null: none fits. */
export function translated(text: string, known: Patterns): string | null {
  for (const [pattern, words] of known) {
    if (pattern.test(text)) return withInner(text.replace(pattern, words), known).trim()
  }
  const [, field, reason] = /^([^:]+): (.+)$/s.exec(text) ?? []
  const inner = reason === undefined ? null : translated(reason, known)
  return inner === null ? null : `${field}：${inner}`
}

/** A text within a text, between ⟦ and ⟧, in its own words; as it is when it has none. */
function withInner(words: string, known: Patterns): string {
  return words.replaceAll(/⟦(.*?)⟧/gs, (_, inner: string) => translated(inner, known) ?? inner)
}
