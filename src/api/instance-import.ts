import { z } from '@hono/zod-openapi'
import { ToolferryError } from '../domain/errors.ts'
import { type ImportedServer, parseMcpServers } from '../domain/mcp-servers-json.ts'
import { createInstances, type NewInstance } from '../store/instances.ts'
import type { Api } from './context.ts'
import type { ApiDeps } from './deps.ts'
import { headerErrors } from './input-rules.ts'
import { instanceSchema, showInstance } from './instance-schemas.ts'
import { ApiProblem, type FieldError } from './problem.ts'
import { body, defineRoute, json } from './route.ts'
import { nameSchema } from './schemas.ts'

const importRoute = defineRoute(
  'operator',
  {
    method: 'post',
    path: '/api/v1/instances/import',
    operationId: 'importInstances',
    tags: ['instances'],
    summary: 'Register every server of an mcpServers JSON, or none',
    request: {
      body: body(
        z.record(z.string(), z.unknown()).openapi({
          description: 'The configuration of an MCP client, as it is.',
          example: { mcpServers: { weather: { type: 'http', url: 'https://mcp.example.com/mcp' } } },
        }),
      ),
    },
    responses: { 201: json(z.object({ items: z.array(instanceSchema) }), 'Registered') },
  },
  { resource: 'instance', action: 'import' },
)

export function registerInstanceImport(app: Api, deps: ApiDeps): void {
  app.openapi(importRoute, async (c) => {
    const { entries, problems } = parseMcpServers(c.req.valid('json'))
    const errors: FieldError[] = problems.map((problem) => ({ field: problem.field, message: problem.reason }))
    const inputs: NewInstance[] = []
    for (const entry of entries) {
      const read = await readEntry(deps, entry)
      if (Array.isArray(read)) errors.push(...read)
      else inputs.push(read)
    }
    errors.push(...(await takenNames(deps, inputs)))
    if (inputs.length === 0 && errors.length === 0)
      errors.push({ field: 'mcpServers', message: 'There is no server in it.' })
    if (errors.length > 0) {
      throw new ApiProblem(422, 'invalid_import', 'Nothing was imported; errors says for each entry why.', {
        hint: 'Correct or remove these entries and import again.',
        errors,
      })
    }
    const instances = await createInstances(deps.store, inputs)
    const view = { publicUrl: deps.facts.publicUrl, role: c.get('principal')?.role ?? 'viewer' } as const
    const items = await Promise.all(instances.map((instance) => showInstance(deps.store, instance, view)))
    return c.json({ items }, 201)
  })
}

async function readEntry(deps: ApiDeps, entry: ImportedServer): Promise<NewInstance | FieldError[]> {
  const at = `mcpServers.${entry.name}`
  const name = nameSchema.safeParse(entry.name)
  const errors: FieldError[] = name.success
    ? []
    : name.error.issues.map((issue) => ({ field: at, message: `its name ${issue.message}` }))
  errors.push(...headerErrors(entry.headers, `${at}.headers`))
  let href = entry.url
  try {
    href = (await deps.egress.checkUrlAddresses(entry.url, `${at}.url`)).href
  } catch (error) {
    if (!(error instanceof ToolferryError)) throw error
    errors.push({ field: `${at}.url`, message: error.message })
  }
  if (errors.length > 0) return errors
  return {
    name: entry.name.trim(),
    description: entry.description ?? '',
    transport: entry.transport,
    url: href,
    headers: entry.headers,
  }
}

async function takenNames(deps: ApiDeps, inputs: NewInstance[]): Promise<FieldError[]> {
  const names = inputs.map((input) => input.name)
  const rows = await deps.store.db.mcpInstance.findMany({ where: { name: { in: names } }, select: { name: true } })
  const taken = new Set(rows.map((row) => row.name))
  return names.flatMap((name, index) => {
    if (taken.has(name)) return { field: `mcpServers.${name}`, message: 'There is already an instance of this name.' }
    if (names.indexOf(name) !== index) return { field: `mcpServers.${name}`, message: 'Two entries have this name.' }
    return []
  })
}
