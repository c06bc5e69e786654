import { useTranslation } from 'react-i18next'
import type { Schemas } from '../../api/client.ts'
import { CopyButton } from '../../components/copyable.tsx'

/** What a called tool answered: texts as texts, images as images, the rest as JSON. */
export function ToolOutcome({ outcome, tookMs }: { outcome: Schemas['ToolCallOutcome']; tookMs: number }) {
  const { t } = useTranslation('instances')
  const failed = !outcome.ok || outcome.result?.isError === true
  const title = t(failed ? 'play.failed' : 'play.done', { ms: tookMs })
  return (
    <section className={failed ? 'outcome outcome-bad' : 'outcome'} aria-label={t('play.result')} role="status">
      <div className="spread">
        <h2 className="section-title">{title}</h2>
        <CopyButton text={JSON.stringify(outcome.result ?? outcome.error, null, 2)} label={t('common:copy')} />
      </div>
      {outcome.error === null ? null : (
        <pre className="code-block">{`${outcome.error.code} ${outcome.error.message}`}</pre>
      )}
      {outcome.result?.content.map((part, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: an answer does not change.
        <Part key={index} part={part} />
      ))}
      {outcome.result?.structuredContent === undefined ? null : (
        <pre className="code-block">{JSON.stringify(outcome.result.structuredContent, null, 2)}</pre>
      )}
    </section>
  )
}

function Part({ part }: { part: Record<string, unknown> }) {
  const { t } = useTranslation('instances')
  if (part.type === 'text') return <pre className="code-block">{String(part.text)}</pre>
  if (part.type === 'image' && /^image\/(png|jpeg|gif|webp)$/.test(String(part.mimeType))) {
    return <img className="outcome-image" alt={t('play.image')} src={`data:${part.mimeType};base64,${part.data}`} />
  }
  return <pre className="code-block">{JSON.stringify(part, null, 2)}</pre>
}
