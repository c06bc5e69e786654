import pg from 'pg'

/** What went to the databases over the product's own drivers, counted in this process. */

export type Statements = { all: number; writes: number; commits: number }

const counted: Statements = { all: 0, writes: 0, commits: 0 }

/** Counts every statement of connections that call themselves `toolferry`. Once a process, before the first connection. */
export function countStatements(): void {
  const original = pg.Client.prototype.query
  function query(this: pg.Client, ...args: unknown[]): unknown {
    const [text] = args
    if (typeof text === 'string' && isProduct(this)) {
      counted.all += 1
      if (/^\s*(INSERT|UPDATE|DELETE)/i.test(text)) counted.writes += 1
      if (/^\s*COMMIT/i.test(text)) counted.commits += 1
    }
    return Reflect.apply(original, this, args)
  }
  pg.Client.prototype.query = query as typeof original
}

export function statements(): Statements {
  return { ...counted }
}

export function since(before: Statements): Statements {
  return {
    all: counted.all - before.all,
    writes: counted.writes - before.writes,
    commits: counted.commits - before.commits,
  }
}

function isProduct(client: pg.Client): boolean {
  const parameters = (client as unknown as { connectionParameters?: { application_name?: string } })
    .connectionParameters
  return parameters?.application_name === 'toolferry'
}
