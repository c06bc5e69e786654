import { useTranslation } from 'react-i18next'
import { type JsonSchema, parametersOf, typeName } from './tool.ts'

/** What a tool takes, a row a parameter. */
export function SchemaTable({ schema }: { schema: JsonSchema }) {
  const { t } = useTranslation('instances')
  const parameters = parametersOf(schema)
  if (parameters.length === 0) return <p className="muted">{t('tools.noParameters')}</p>
  return (
    <div className="schema-scroll">
      <table className="schema">
        <thead>
          <tr>
            <th scope="col">{t('tools.parameter')}</th>
            <th scope="col">{t('tools.type')}</th>
            <th scope="col">{t('tools.description')}</th>
          </tr>
        </thead>
        <tbody>
          {parameters.map(({ name, required, schema: property }) => (
            <tr key={name}>
              <td>
                <code>{name}</code>
                {required ? <span className="required"> {t('tools.required')}</span> : null}
              </td>
              <td>
                <code>{typeName(property)}</code>
              </td>
              <td>
                {property.description ?? ''}
                {property.default === undefined ? null : (
                  <span className="muted"> {t('tools.default', { value: JSON.stringify(property.default) })}</span>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
