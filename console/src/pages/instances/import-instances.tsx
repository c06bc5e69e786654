import { useMutation, useQueryClient } from '@tanstack/react-query'
import { App, Button, Input } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { api, call } from '../../api/client.ts'
import { Drawer } from '../../components/overlays.tsx'
import { ProblemAlert } from '../../components/problem-alert.tsx'

const EXAMPLE = `{
  "mcpServers": {
    "weather": {
      "type": "http",
      "url": "https://mcp.example.com/mcp",
      "headers": { "X-API-Key": "…" }
    }
  }
}`

/** Registers every server of a pasted client configuration, or none. */
export function ImportInstances({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation('instances')
  const { message } = App.useApp()
  const queries = useQueryClient()
  const [text, setText] = useState('')
  const read = readServers(text)
  const importing = useMutation({
    mutationFn: (body: Record<string, unknown>) => call(api.POST('/api/v1/instances/import', { body })),
    onSuccess: async ({ items }) => {
      message.success(t('import.done', { count: items.length }))
      await queries.invalidateQueries({ queryKey: ['instances'] })
      onClose()
    },
  })
  return (
    <Drawer
      open
      size={600}
      title={t('import.title')}
      onClose={onClose}
      footer={
        <div className="row" style={{ justifyContent: 'flex-end' }}>
          <Button onClick={onClose}>{t('common:cancel')}</Button>
          <Button
            type="primary"
            disabled={read.kind !== 'servers'}
            loading={importing.isPending}
            onClick={() => read.kind === 'servers' && importing.mutate(read.body)}
          >
            {t('import.ok')}
          </Button>
        </div>
      }
    >
      <div className="stack">
        <p>{t('import.text')}</p>
        <Input.TextArea
          aria-label={t('import.label')}
          className="code"
          rows={14}
          spellCheck={false}
          placeholder={EXAMPLE}
          value={text}
          status={read.kind === 'broken' ? 'error' : ''}
          onChange={(event) => {
            setText(event.target.value)
            importing.reset()
          }}
        />
        <div aria-live="polite">
          {read.kind === 'broken' ? <p className="probe-bad">{t('import.broken', { reason: read.reason })}</p> : null}
          {read.kind === 'servers' ? <p>{t('import.found', { names: read.names.join(', ') })}</p> : null}
          {read.kind === 'none' ? <p className="probe-bad">{t('import.none')}</p> : null}
        </div>
        {importing.error === null ? null : <ProblemAlert error={importing.error} />}
      </div>
    </Drawer>
  )
}

type Read =
  | { kind: 'empty' | 'none' }
  | { kind: 'broken'; reason: string }
  | { kind: 'servers'; names: string[]; body: Record<string, unknown> }

function readServers(text: string): Read {
  if (text.trim() === '') return { kind: 'empty' }
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch (error) {
    return { kind: 'broken', reason: error instanceof Error ? error.message : '' }
  }
  const servers = isRecord(body) ? body.mcpServers : null
  if (!isRecord(body) || !isRecord(servers) || Object.keys(servers).length === 0) return { kind: 'none' }
  return { kind: 'servers', names: Object.keys(servers), body }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
