import type { Kind } from './queries.ts'

const NAMES: Record<Kind, string> = { dify: 'Dify', coze: 'COZE' }

/** Dify or COZE; their names are the same in every language. */
export function KindMark({ kind }: { kind: Kind }) {
  return (
    <span className={`kind kind-${kind}`} translate="no">
      {NAMES[kind]}
    </span>
  )
}
