import { useTranslation } from 'react-i18next'
import './field-changes.css'

/** One field of a plan, as the API tells it (values of secrets never come). */
export type FieldChange = {
  field: string
  before: string | null
  after: string | null
  secret: boolean
  tools?: { added: string[]; removed: string[]; changed: string[] }
}

/** What a plan changes on one object, field by field: before → after, secrets only named, tools by name. */
export function FieldChanges({ changes }: { changes: FieldChange[] }) {
  const { t } = useTranslation()
  return (
    <dl className="field-changes">
      {changes.map((change) => (
        <div key={change.field}>
          <dt>{t(`fields.${change.field}`, { defaultValue: change.field })}</dt>
          <dd>
            <Change change={change} />
          </dd>
        </div>
      ))}
    </dl>
  )
}

function Change({ change }: { change: FieldChange }) {
  const { t } = useTranslation()
  if (change.tools !== undefined) {
    return (
      <>
        <Names label={t('changes.added')} names={change.tools.added} />
        <Names label={t('changes.removed')} names={change.tools.removed} />
        <Names label={t('changes.changed')} names={change.tools.changed} />
      </>
    )
  }
  if (change.secret) return <span className="muted">{t('changes.secret')}</span>
  return (
    <>
      {change.before === null ? null : (
        <>
          <del>{change.before}</del> →{' '}
        </>
      )}
      <ins>{change.after ?? t('changes.nothing')}</ins>
    </>
  )
}

function Names({ label, names }: { label: string; names: string[] }) {
  if (names.length === 0) return null
  return (
    <div>
      <span className="muted">{label}:</span> <span>{names.join(', ')}</span>
    </div>
  )
}
