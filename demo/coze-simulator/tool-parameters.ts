import type { Tool } from './world.ts'

/** JSON Schema types as COZE's ParameterType (§2.14): 1 string, 2 integer, 3 number, 4 object, 5 array, 6 boolean. */
const TYPES: Record<string, number> = { string: 1, integer: 2, number: 3, object: 4, array: 5, boolean: 6 }

/** An MCP tool's input schema as COZE's APIParameter list, in the body (location 3). */
export function parametersOf(tool: Tool): Record<string, unknown>[] {
  return fields(tool.inputSchema, tool.apiId)
}

function fields(schema: unknown, path: string): Record<string, unknown>[] {
  const { properties, required } = record(schema)
  const needed = new Set(Array.isArray(required) ? required : [])
  return Object.entries(record(properties)).map(([name, value]) => {
    const field = record(value)
    const type = typeof field.type === 'string' ? (TYPES[field.type] ?? 1) : 1
    return {
      id: `${path}.${name}`,
      name,
      desc: typeof field.description === 'string' ? field.description : '',
      type,
      ...(type === 5 ? { sub_type: TYPES[String(record(field.items).type)] ?? 1 } : {}),
      location: 3,
      is_required: needed.has(name),
      sub_parameters: type === 4 ? fields(field, `${path}.${name}`) : [],
      global_disable: false,
      local_disable: false,
    }
  })
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}
}
