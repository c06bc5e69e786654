import { useTranslation } from 'react-i18next'
import { serverText } from '../i18n/server-texts.ts'

type Recorded = { type: string; message: string; hint: string | null }

/** The key of an error's type in the catalogue `problems`: UpstreamUnreachable → upstream_unreachable. */
export function problemCode(type: string): string {
  return type.replaceAll(/(?<=[a-z])[A-Z]/g, (letter) => `_${letter}`).toLowerCase()
}

/**
 * What a run or a check recorded, in the console's language: the server's own words (with the catalogue's before them where
 * they are only known in English), and what to do.
 */
export function useRecordedError(): (error: Recorded) => { message: string; hint: string | null } {
  const { t, i18n } = useTranslation('problems')
  return ({ type, message, hint }) => {
    const code = problemCode(type)
    if (i18n.language === 'en' || !i18n.exists(`problems:${code}.title`)) return { message, hint }
    const said = serverText(message)
    return { message: said === message ? `${t(`${code}.title`)}：${message}` : said, hint: t(`${code}.hint`) }
  }
}
