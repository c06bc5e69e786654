/** Reads prisma/schema.prisma as text: enough of its language for our own schema, which uses no relations and no enums. */

export type SchemaField = {
  name: string
  /** String | Int | Boolean | DateTime */
  type: string
  nullable: boolean
  /** The MySQL type: "Char(36)", "LongText", … or null for Prisma's default. */
  native: string | null
  unique: boolean
  default: string | null
}

export type SchemaModel = {
  name: string
  fields: SchemaField[]
  primaryKey: string[]
  uniques: string[][]
  indexes: string[][]
}

/** The same schema for SQLite: no native types, and the client beside the other one. */
export function toSqliteSchema(schema: string): string {
  return `// Generated from prisma/schema.prisma by scripts/generate.ts. Do not edit.\n${schema
    .replace(/ +@db\.\w+(\([\d, ]*\))?/g, '')
    .replace('provider = "mysql"', 'provider = "sqlite"')
    .replace('"../src/store/generated/mysql"', '"../../src/store/generated/sqlite"')}`
}

/** The models in the order of the file. */
export function readModels(schema: string): SchemaModel[] {
  return [...schema.matchAll(/^model (\w+) \{\n([\s\S]*?)^\}/gm)].map(([, name, body]) =>
    readModel(name ?? '', body ?? ''),
  )
}

function readModel(name: string, body: string): SchemaModel {
  const model: SchemaModel = { name, fields: [], primaryKey: [], uniques: [], indexes: [] }
  for (const line of body.split('\n').map((text) => text.trim())) {
    if (line === '' || line.startsWith('//')) continue
    const block = /^@@(id|unique|index)\(\[([\w, ]+)\]\)$/.exec(line)
    if (block !== null) {
      const columns = (block[2] ?? '').split(',').map((column) => column.trim())
      if (block[1] === 'id') model.primaryKey = columns
      else if (block[1] === 'unique') model.uniques.push(columns)
      else model.indexes.push(columns)
      continue
    }
    const field = /^(\w+)\s+(String|Int|Boolean|DateTime)(\?)?(.*)$/.exec(line)
    if (field === null) throw new Error(`schema.prisma: cannot read "${line}" of model ${name}`)
    const attributes = field[4] ?? ''
    const fieldName = field[1] ?? ''
    const unique = /@unique\b/.test(attributes)
    if (/@id\b/.test(attributes)) model.primaryKey = [fieldName]
    if (unique) model.uniques.push([fieldName])
    model.fields.push({
      name: fieldName,
      type: field[2] ?? '',
      nullable: field[3] === '?',
      native: /@db\.(\w+(?:\(\d+\))?)/.exec(attributes)?.[1] ?? null,
      unique,
      default: /@default\(([^)]*)\)/.exec(attributes)?.[1] ?? null,
    })
  }
  return model
}
