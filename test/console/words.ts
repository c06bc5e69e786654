import { readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import i18next from 'i18next'
import { translated } from '../../console/src/i18n/server-texts.ts'
import { SERVER_TEXTS_ZH } from '../../console/src/i18n/server-texts-zh.ts'

/** What the console says, from its own catalogues: tests click and read by these, in either language. */

export type Language = 'en' | 'zh'

export type Words = {
  /** As the pages' own t, with the file: t('platforms:form.name'). Throws when there is no such text. */
  t: (key: string, values?: Record<string, unknown>) => string
  /** A text of the server, which speaks English, as the console shows it. Throws when Chinese has no words for it. */
  say: (english: string) => string
}

const CATALOGUES = join(import.meta.dirname, '../../console/src/i18n')

export const WORDS: Record<Language, Words> = { en: await loadWords('en'), zh: await loadWords('zh') }

async function loadWords(language: Language): Promise<Words> {
  const folder = join(CATALOGUES, language)
  const files = readdirSync(folder).filter((name) => name.endsWith('.ts'))
  const entries = await Promise.all(
    files.map(async (name) => {
      const { messages } = (await import(join(folder, name))) as { messages: object }
      return [basename(name, '.ts'), messages] as const
    }),
  )
  const i18n = i18next.createInstance()
  await i18n.init({
    lng: language,
    fallbackLng: false,
    resources: { [language]: Object.fromEntries(entries) },
    defaultNS: 'common',
    interpolation: { escapeValue: false },
  })
  return {
    t: (key, values = {}) => {
      if (!i18n.exists(key, values)) throw new Error(`The ${language} catalogue has no text ${key}.`)
      return i18n.t(key, values)
    },
    say: (english) => {
      if (language === 'en') return english
      const words = translated(english, SERVER_TEXTS_ZH)
      if (words === null) throw new Error(`The Chinese console has no words for: ${english}`)
      return words
    },
  }
}
