import { App } from 'antd'
import { useTranslation } from 'react-i18next'
import { type Problem, toProblem } from '../api/problem.ts'
import { serverText } from '../i18n/server-texts.ts'
import { hintForPeople } from './hint.ts'

export type ProblemText = {
  /** What happened, in the console's language. */
  title: string
  /** The server's own words for it, where they say more. */
  detail: string | null
  /** What to do. */
  hint: string | null
}

/**
 * A problem in words. The catalogue `problems` knows every code by a title and a hint in both languages; the server's hint is
 * more exact and wins in English, where it is written. Not for a request with wrong fields: there it speaks to a program's author.
 */
export function useProblemText(): (problem: Problem) => ProblemText {
  const { t, i18n } = useTranslation('problems')
  return (problem) => {
    const known = i18n.exists(`problems:${problem.code}.title`)
    const title = known ? t(`${problem.code}.title`) : t('other.title')
    const translated = known ? t(`${problem.code}.hint`) : t('other.hint')
    const exact = problem.code === 'invalid_request' ? null : hintForPeople(problem.hint)
    const said = exact === null || i18n.language === 'en' ? exact : translatedOrNull(exact)
    const hint = said ?? translated
    return {
      title,
      detail: problem.detail === '' || problem.detail === title ? null : serverText(problem.detail),
      hint: hint === '' ? null : hint,
    }
  }
}

/** In Chinese, when the server's hint is one that is known there. */
function translatedOrNull(hint: string): string | null {
  const words = serverText(hint)
  return words === hint ? null : words
}

/** Tells of a failure in passing: for actions whose page has no place for it. */
export function useProblemToast(): (error: unknown) => void {
  const { notification } = App.useApp()
  const text = useProblemText()
  return (error) => {
    const { title, detail, hint } = text(toProblem(error))
    notification.error({ title, description: [detail, hint].filter((part) => part !== null).join(' '), duration: 10 })
  }
}
