import { useTranslation } from 'react-i18next'
import { serverText } from '../i18n/server-texts.ts'

/**
 * The server speaks English in findings, notes and messages. In Chinese those it is known to say are put into Chinese by
 * patterns (i18n/server-texts-zh.ts); what is not known stays as it is.
 */
export function useServerText(): (text: string) => string {
  // Renders anew when the language changes.
  useTranslation()
  return serverText
}
