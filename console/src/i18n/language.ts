/** The language of the console: what was chosen here before, else the browser's. */

export const LANGUAGES = ['en', 'zh'] as const
export type Language = (typeof LANGUAGES)[number]

const STORAGE_KEY = 'toolferry.language'

let current: Language = initial()

export function currentLanguage(): Language {
  return current
}

/** Remembers the choice; i18n.ts changes the texts. */
export function rememberLanguage(language: Language): void {
  current = language
  window.localStorage.setItem(STORAGE_KEY, language)
  document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en'
}

function initial(): Language {
  const stored = window.localStorage.getItem(STORAGE_KEY)
  const known = LANGUAGES.find((language) => language === stored)
  if (known !== undefined) return known
  return window.navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en'
}
