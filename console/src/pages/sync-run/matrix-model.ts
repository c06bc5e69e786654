import type { Target } from './use-run.ts'

type Named = { id: string; name: string }

export type MatrixModel = {
  instances: Named[]
  spaces: Named[]
  /** By `cellId`. */
  cells: Map<string, Target>
}

export function cellId(instanceId: string, spaceId: string): string {
  return `${instanceId}/${spaceId}`
}

/** Spaces downwards, instances across, both by name. With `only`, just the rows and columns that have a target in that state. */
export function buildMatrix(targets: Target[], only: Target['state'] | null): MatrixModel {
  const shown = only === null ? targets : targets.filter(({ state }) => state === only)
  const instances = new Map(shown.map((target) => [target.instanceId, target.instanceName ?? target.instanceId]))
  const spaces = new Map(shown.map((target) => [target.spaceId, target.spaceName ?? target.spaceId]))
  return {
    instances: byName(instances),
    spaces: byName(spaces),
    cells: new Map(targets.map((target) => [cellId(target.instanceId, target.spaceId), target])),
  }
}

function byName(names: Map<string, string>): Named[] {
  return [...names].map(([id, name]) => ({ id, name })).sort((a, b) => a.name.localeCompare(b.name))
}
