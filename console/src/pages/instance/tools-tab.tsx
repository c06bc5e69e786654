import { useQuery } from '@tanstack/react-query'
import { Button, Collapse, Input } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link } from 'react-router'
import { useRole } from '../../api/session.ts'
import { EmptyState } from '../../components/empty-state.tsx'
import { Loading } from '../../components/loading.tsx'
import { ProblemAlert } from '../../components/problem-alert.tsx'
import { Time } from '../../components/time.tsx'
import { useProbe } from '../instances/probe-state.tsx'
import { type Instance, toolsQuery } from '../instances/queries.ts'
import { SchemaTable } from './schema-table.tsx'
import { descriptionOf, inputSchemaOf, type Tool } from './tool.ts'

/** The tools as last seen, each with what it takes. */
export function ToolsTab({ instance }: { instance: Instance }) {
  const { t } = useTranslation('instances')
  const { data, error } = useQuery(toolsQuery(instance.id))
  const isOperator = useRole('operator')
  const probing = useProbe(instance.id)
  const [search, setSearch] = useState('')
  if (data === undefined) return error === null ? <Loading /> : <ProblemAlert error={error} />
  const fits = (tool: Tool) => `${tool.name} ${descriptionOf(tool)}`.toLowerCase().includes(search.trim().toLowerCase())
  const shown = data.items.filter(fits)
  const probe = isOperator ? (
    <Button onClick={() => probing.mutate()} loading={probing.isPending}>
      {t('tools.ask')}
    </Button>
  ) : undefined
  if (data.items.length === 0) {
    return (
      <div className="panel">
        <EmptyState title={t('tools.none')} text={t('tools.noneText')} actions={probe} />
      </div>
    )
  }
  return (
    <div className="stack">
      {error === null ? null : <ProblemAlert error={error} />}
      <div className="spread">
        <Input.Search
          allowClear
          aria-label={t('tools.search')}
          placeholder={t('tools.search')}
          value={search}
          onChange={(event) => setSearch(event.target.value)}
          style={{ width: 260 }}
        />
        <div className="row">
          <span className="muted">
            {t('probe.tools', { count: data.items.length })} · <Time at={data.seenAt} />
          </span>
          {probe}
        </div>
      </div>
      {shown.length === 0 ? <p className="muted">{t('tools.noMatch')}</p> : null}
      <Collapse
        items={shown.map((tool) => ({
          key: tool.name,
          label: (
            <span className="tool-label">
              <code>{tool.name}</code>
              <span className="muted clip">{descriptionOf(tool)}</span>
            </span>
          ),
          children: (
            <div className="stack">
              <p className="tool-description">{descriptionOf(tool) || t('tools.noDescription')}</p>
              <SchemaTable schema={inputSchemaOf(tool)} />
              {isOperator ? (
                <Link to={`/instances/${instance.id}/playground?tool=${encodeURIComponent(tool.name)}`}>
                  {t('tools.try')}
                </Link>
              ) : null}
            </div>
          ),
        }))}
      />
    </div>
  )
}
