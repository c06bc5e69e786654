import { CheckOutlined, CopyOutlined } from '@ant-design/icons'
import { App, Button } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { copyText } from './clipboard.ts'
import './copyable.css'

/** A text for machines (an id, an address, JSON on one line) with a button that copies it. */
export function Copyable({ text, shown = text }: { text: string; shown?: string }) {
  return (
    <span className="copyable">
      <code className="clip" title={shown}>
        {shown}
      </code>
      <CopyButton text={text} />
    </span>
  )
}

export function CopyButton({ text, label }: { text: string; label?: string }) {
  const { t } = useTranslation()
  const { message } = App.useApp()
  const [copied, setCopied] = useState(false)
  const copy = async () => {
    if (!(await copyText(text))) return void message.error(t('notCopied'))
    setCopied(true)
    setTimeout(() => setCopied(false), 1_500)
  }
  return (
    <Button
      type={label === undefined ? 'text' : 'default'}
      size="small"
      icon={copied ? <CheckOutlined /> : <CopyOutlined />}
      aria-label={label ?? t('copy')}
      title={t(copied ? 'copied' : 'copy')}
      onClick={() => void copy()}
    >
      {label}
    </Button>
  )
}
