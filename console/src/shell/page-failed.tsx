import { useRouteError } from 'react-router'
import { ProblemAlert } from '../components/problem-alert.tsx'

/** A page that could not be loaded or broke: says so and lets it be tried again. */
export function PageFailed() {
  const error = useRouteError()
  return (
    <div className="page">
      <ProblemAlert
        error={error instanceof Error ? error : new Error(String(error))}
        onRetry={() => window.location.reload()}
      />
    </div>
  )
}
