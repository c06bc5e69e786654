export type Language = 'en' | 'zh'

/** The console's own words, by the key that its pages use: `say('platforms:add.dify')`. Throws for a key that is not there. */
export type Say = (key: string, values?: Record<string, string | number>) => string

export async function wordsOf(language: Language, files: string[]): Promise<Say> {
  const catalogues = new Map<string, unknown>()
  for (const file of files) {
    const { messages } = (await import(`../../console/src/i18n/${language}/${file}.ts`)) as { messages: unknown }
    catalogues.set(file, messages)
  }
  return (key, values = {}) => {
    const [file = '', path = ''] = key.split(':')
    let found: unknown = catalogues.get(file)
    for (const part of path.split('.')) {
      found = typeof found === 'object' && found !== null ? (found as Record<string, unknown>)[part] : undefined
    }
    if (typeof found !== 'string') throw new Error(`no text ${key} in ${language}`)
    return found.replaceAll(/\{\{(\w+)\}\}/g, (_all, name: string) => String(values[name] ?? ''))
  }
}
