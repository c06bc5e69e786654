import { parseArgs } from 'node:util'

export type BenchOptions = {
  /** Of `unchanged`, `changed` and `warm`, those that follow the cold run; default all. */
  only?: string[]
  /** DATABASE_URL of the product; default SQLite in a new folder. */
  store?: string
  /** Folder for a CPU profile of each run; profiling makes every run slower. */
  profile?: string
}

/** What `npm run bench:sync -- …` takes: sizes, and options that make a long one shorter or tell more. */
export function readOptions(args: string[]): { sizes: string[]; options: BenchOptions } {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { only: { type: 'string' }, store: { type: 'string' }, profile: { type: 'string' } },
  })
  const { only, store, profile } = values
  return {
    sizes: positionals.length > 0 ? positionals : ['10x20', '100x200'],
    options: {
      ...(only === undefined ? {} : { only: only.split(',') }),
      ...(store === undefined ? {} : { store }),
      ...(profile === undefined ? {} : { profile }),
    },
  }
}
