import { type DesiredCell, desiredObject } from '../src/platforms/desired.ts'
import type { Platform } from '../src/platforms/platform.ts'
import type { SpaceCell } from './space-work.ts'

type WantedCell = Pick<SpaceCell, 'key' | 'instance' | 'binding' | 'snapshot'> & { token: { value: string } | null }

/** What a cell should look like on its platform, or why that cannot be said. */
export function desiredFor(cell: WantedCell, platform: Platform, gatewayOrigin: string): DesiredCell {
  const { key: bindingId, instance, token, snapshot, binding } = cell
  const tools = snapshot?.tools ?? null
  return desiredObject(
    { bindingId, instance, token, tools, toolAllowList: binding?.toolAllowList ?? null, gatewayOrigin },
    platform,
  )
}
