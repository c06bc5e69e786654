import type { FormInstance } from 'antd'
import { toProblem } from '../api/problem.ts'
import { serverText } from '../i18n/server-texts.ts'

/**
 * Puts the field errors of a refusal at their fields. `nameOf` tells the form's name of an API field ('database.port' →
 * ['database', 'port'], which is also the default). Answers whether every error found its place.
 */
export function showFieldErrors<T>(
  form: FormInstance<T>,
  error: unknown,
  nameOf: (field: string) => (string | number)[] = (field) => field.split('.'),
): boolean {
  const { errors } = toProblem(error)
  const values = form.getFieldsValue()
  const placed = errors.filter(({ field }) => isField(values, nameOf(field)))
  form.setFields(placed.map(({ field, message }) => ({ name: nameOf(field) as never, errors: [serverText(message)] })))
  return errors.length > 0 && placed.length === errors.length
}

/** A form's values have a key for every field that it has, whether it is filled in or not. */
function isField(values: unknown, [first, ...rest]: (string | number)[]): boolean {
  if (typeof values !== 'object' || values === null || first === undefined || !(first in values)) return false
  return rest.length === 0 || isField((values as Record<string | number, unknown>)[first], rest)
}
