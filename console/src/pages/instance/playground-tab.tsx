import { useMutation, useQuery } from '@tanstack/react-query'
import { Alert, Button, Form, Input } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link, useSearchParams } from 'react-router'
import { api, call, type Schemas } from '../../api/client.ts'
import { useAll } from '../../api/lists.ts'
import { useRole } from '../../api/session.ts'
import { EmptyState } from '../../components/empty-state.tsx'
import { Loading } from '../../components/loading.tsx'
import { ProblemAlert } from '../../components/problem-alert.tsx'
import { Select } from '../../components/select.tsx'
import { type Instance, toolsQuery } from '../instances/queries.ts'
import { SchemaTable } from './schema-table.tsx'
import { exampleOf, inputSchemaOf, type Tool } from './tool.ts'
import { ToolOutcome } from './tool-outcome.tsx'

const DIRECT = 'direct'

/** Calls a tool: straight at the server, or as a space does, through the gateway with its token and headers. */
export function PlaygroundTab({ instance }: { instance: Instance }) {
  const { t } = useTranslation('instances')
  const { data, error } = useQuery(toolsQuery(instance.id))
  const isOperator = useRole('operator')
  const [search, setSearch] = useSearchParams()
  if (!isOperator)
    return <Alert type="info" showIcon title={t('common:needsRole', { role: t('common:roles.operator') })} />
  // Tools that are known stay: a later reading that fails would take typed arguments with it.
  if (data === undefined) return error === null ? <Loading /> : <ProblemAlert error={error} />
  const tool = data.items.find(({ name }) => name === search.get('tool')) ?? data.items[0]
  if (tool === undefined) {
    return (
      <div className="panel">
        <EmptyState
          title={t('tools.none')}
          text={t('tools.noneText')}
          actions={<Link to={`/instances/${instance.id}/tools`}>{t('tabs.tools')}</Link>}
        />
      </div>
    )
  }
  return (
    <div className="playground">
      <section className="panel panel-body">
        <Form layout="vertical" component="div">
          <Form.Item label={t('play.tool')} htmlFor="play-tool">
            <Select
              id="play-tool"
              showSearch
              value={tool.name}
              onChange={(name) => setSearch({ tool: name }, { replace: true })}
              options={data.items.map(({ name }) => ({ value: name, label: name }))}
            />
          </Form.Item>
        </Form>
        <SchemaTable schema={inputSchemaOf(tool)} />
      </section>
      <Call key={tool.name} instance={instance} tool={tool} />
    </div>
  )
}

function Call({ instance, tool }: { instance: Instance; tool: Tool }) {
  const { t } = useTranslation('instances')
  const [text, setText] = useState(() => JSON.stringify(exampleOf(inputSchemaOf(tool)), null, 2))
  const [via, setVia] = useState(DIRECT)
  const bindings = useAll<Schemas['Binding']>(['instances', instance.id, 'bindings'], (cursor) =>
    call(
      api.GET('/api/v1/instances/{id}/bindings', {
        params: { path: { id: instance.id }, query: { limit: 200, cursor } },
      }),
    ),
  )
  const calling = useMutation({
    mutationFn: async (input: Record<string, unknown>) => {
      const started = performance.now()
      const outcome = await call(
        api.POST('/api/v1/instances/{id}/tools/{name}/call', {
          params: { path: { id: instance.id, name: tool.name } },
          body: { arguments: input, ...(via === DIRECT ? {} : { bindingId: via }) },
        }),
      )
      return { outcome, tookMs: Math.round(performance.now() - started) }
    },
  })
  const input = readObject(text)
  return (
    <section className="panel panel-body stack">
      <div>
        <label htmlFor="play-via">{t('play.via')}</label>
        <Select
          id="play-via"
          style={{ width: '100%' }}
          value={via}
          onChange={setVia}
          options={[
            { value: DIRECT, label: t('play.direct') },
            ...(bindings.data ?? []).map((binding) => ({
              value: binding.id,
              label: t('play.as', { space: binding.space.name }),
            })),
          ]}
        />
        <p className="play-note">{t(via === DIRECT ? 'play.directText' : 'play.gatewayText')}</p>
      </div>
      <div>
        <label htmlFor="play-arguments">{t('play.arguments')}</label>
        <Input.TextArea
          id="play-arguments"
          className="code"
          spellCheck={false}
          rows={8}
          status={input === null ? 'error' : ''}
          value={text}
          onChange={(event) => setText(event.target.value)}
        />
        {input === null ? <p className="probe-bad">{t('play.broken')}</p> : null}
      </div>
      <div>
        <Button
          type="primary"
          disabled={input === null}
          loading={calling.isPending}
          onClick={() => input !== null && calling.mutate(input)}
        >
          {t('play.call')}
        </Button>
      </div>
      {calling.error === null ? null : <ProblemAlert error={calling.error} />}
      {calling.data === undefined ? null : <ToolOutcome {...calling.data} />}
    </section>
  )
}

function readObject(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null
  } catch {
    return null
  }
}
