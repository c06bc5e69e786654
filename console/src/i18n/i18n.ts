import i18next from 'i18next'
import { initReactI18next } from 'react-i18next'
import { currentLanguage, type Language, rememberLanguage } from './language.ts'
import { loadServerTexts } from './server-texts.ts'

/**
 * Texts come in files by language and page (en/platforms.ts, zh/platforms.ts), loaded with the page. A file exports
 * `messages`, a nested object of texts; keys are read as t('list.title').
 */

const files = import.meta.glob<{ messages: object }>('./{en,zh}/*.ts')

/** On every page. */
const EVERYWHERE = ['common', 'problems']

const backend = {
  type: 'backend' as const,
  read: (language: string, namespace: string, done: (error: Error | null, messages: object | null) => void) => {
    const load = files[`./${language}/${namespace}.ts`]
    if (load === undefined) return done(new Error(`there is no ${language}/${namespace}.ts`), null)
    load().then(
      ({ messages }) => done(null, messages),
      (error: Error) => done(error, null),
    )
  },
}

let begin: () => void
const begun = new Promise<void>((resolve) => {
  begin = resolve
})

export async function startI18n(): Promise<void> {
  rememberLanguage(currentLanguage())
  await loadServerTexts(currentLanguage())
  await i18next
    .use(backend)
    .use(initReactI18next)
    .init({
      lng: currentLanguage(),
      fallbackLng: false,
      ns: EVERYWHERE,
      defaultNS: 'common',
      interpolation: { escapeValue: false },
      react: { useSuspense: true },
    })
  begin()
}

export async function changeLanguage(language: Language): Promise<void> {
  await loadServerTexts(language)
  rememberLanguage(language)
  await i18next.changeLanguage(language)
}

/** Loads a page's texts beside its code; those of the first page, which the router asks for at once, when i18next can load any. */
export async function loadTexts(namespaces: string[]): Promise<void> {
  await begun
  await i18next.loadNamespaces(namespaces)
}
