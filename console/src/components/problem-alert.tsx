import { Alert, Button } from 'antd'
import { useTranslation } from 'react-i18next'
import { type Problem, toProblem } from '../api/problem.ts'
import { serverText } from '../i18n/server-texts.ts'
import { useProblemText } from './problem-text.ts'
import './problem-alert.css'

/** A refusal or failure: what happened, what to do, which fields, and how to find it in the server's log. */
export function ProblemAlert({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const { t } = useTranslation()
  const problem = toProblem(error)
  const text = useProblemText()(problem)
  return (
    <Alert
      type="error"
      showIcon
      role="alert"
      title={text.title}
      description={<Details problem={problem} text={text} />}
      action={
        onRetry === undefined ? undefined : (
          <Button size="small" onClick={onRetry}>
            {t('retry')}
          </Button>
        )
      }
    />
  )
}

function Details({ problem, text }: { problem: Problem; text: { detail: string | null; hint: string | null } }) {
  const { t } = useTranslation()
  // A detail that only strings the fields together is said better by their list.
  const named = problem.errors.map(({ field, message }) => `${field}: ${message}`).join(' ')
  const isList = problem.errors.length > 0 && (problem.code === 'invalid_request' || problem.detail === named)
  const listed = problem.errors.filter(({ message }) => isList || !problem.detail.includes(message))
  return (
    <div className="problem">
      {text.hint === null ? null : <p>{text.hint}</p>}
      {text.detail === null || isList ? null : <p className="problem-detail">{text.detail}</p>}
      {listed.length === 0 ? null : (
        <ul>
          {listed.map(({ field, message }) => (
            <li key={field}>
              <code>{field}</code> {serverText(message)}
            </li>
          ))}
        </ul>
      )}
      {problem.requestId === '' ? null : (
        <p className="problem-id">
          {t('problem.request')} <code>{problem.requestId}</code>
        </p>
      )}
    </div>
  )
}
