import { Input } from 'antd'
import { useEffect, useState } from 'react'

type Props = { value: string; label: string; width: number; onSearch: (text: string) => void }

/** A filter by a text that is kept in the address: sent by Enter, and empty again when the address is. */
export function FilterInput({ value, label, width, onSearch }: Props) {
  const [text, setText] = useState(value)
  useEffect(() => setText(value), [value])
  return (
    <Input.Search
      allowClear
      value={text}
      placeholder={label}
      aria-label={label}
      style={{ width }}
      onChange={({ target }) => setText(target.value)}
      onSearch={onSearch}
    />
  )
}
