import { DeleteOutlined, PlusOutlined } from '@ant-design/icons'
import { AutoComplete, Button, Input } from 'antd'
import { useTranslation } from 'react-i18next'
import './headers-editor.css'
import { namedList } from './select.tsx'

export type HeaderRow = { name: string; value: string }

/** What the API shows for a sealed value; sent back, it means: keep it. */
export const MASK = '••••••••'

const USUAL = ['Authorization', 'X-API-Key', 'API-Key', 'X-Tenant-Id']

type Props = { value?: HeaderRow[]; onChange?: (rows: HeaderRow[]) => void; disabled?: boolean }

/** Header names and values, for a Form.Item. A sealed value is shown as dots and kept until another is written over it. */
export function HeadersEditor({ value = [], onChange, disabled = false }: Props) {
  const { t } = useTranslation()
  const change = (index: number, part: Partial<HeaderRow>) =>
    onChange?.(value.map((row, at) => (at === index ? { ...row, ...part } : row)))
  return (
    <div className="headers-editor">
      {value.map((row, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: rows have no other identity while they are typed.
        <div className="headers-row" key={index}>
          <AutoComplete
            popupRender={namedList}
            disabled={disabled}
            aria-label={t('headers.name')}
            placeholder={t('headers.name')}
            value={row.name}
            onChange={(name: string) => change(index, { name })}
            options={USUAL.filter((name) => name.toLowerCase().includes(row.name.toLowerCase())).map((name) => ({
              value: name,
            }))}
          />
          <Input
            disabled={disabled}
            aria-label={t('headers.value')}
            placeholder={t('headers.value')}
            value={row.value}
            autoComplete="off"
            className="code"
            onFocus={(event) => {
              if (row.value === MASK) event.target.select()
            }}
            onChange={(event) => change(index, { value: event.target.value })}
          />
          <Button
            type="text"
            disabled={disabled}
            icon={<DeleteOutlined />}
            aria-label={t('headers.remove')}
            onClick={() => onChange?.(value.filter((_, at) => at !== index))}
          />
        </div>
      ))}
      <Button
        size="small"
        disabled={disabled}
        icon={<PlusOutlined />}
        onClick={() => onChange?.([...value, { name: '', value: '' }])}
      >
        {t('headers.add')}
      </Button>
    </div>
  )
}

/** As the API takes them; rows without a name are left out. */
export function headersOf(rows: HeaderRow[] | undefined): Record<string, string> {
  return Object.fromEntries(
    (rows ?? []).filter(({ name }) => name.trim() !== '').map(({ name, value }) => [name.trim(), value]),
  )
}

export function headerRows(headers: Record<string, string>): HeaderRow[] {
  return Object.entries(headers).map(([name, value]) => ({ name, value }))
}
