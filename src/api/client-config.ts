import { z } from '@hono/zod-openapi'
import type { InstanceRecord } from '../store/instances.ts'
import { gatewayUrlOf } from './instance-schemas.ts'

/** How an MCP client reaches an instance through the gateway, as the `mcpServers` JSON that most clients read. */

export const clientConfigSchema = z.object({ mcpServers: z.record(z.string(), z.unknown()) }).openapi('ClientConfig')

/**
 * `token` null: a placeholder stands for it, where the instance asks for one at all. An instance that forwards `Authorization`
 * takes the token from another header (architecture §7).
 */
export function clientConfigOf(
  instance: Pick<InstanceRecord, 'id' | 'name' | 'transport' | 'accessMode' | 'forwardAuthorization'>,
  gatewayUrl: string,
  token: string | null,
): z.infer<typeof clientConfigSchema> {
  const value = token ?? '<gateway token>'
  const headers = instance.forwardAuthorization ? { 'X-API-Key': value } : { Authorization: `Bearer ${value}` }
  const server = {
    type: instance.transport === 'sse' ? 'sse' : 'http',
    url: gatewayUrlOf(instance, gatewayUrl),
    ...(token !== null || instance.accessMode === 'token' ? { headers } : {}),
  }
  return { mcpServers: { [instance.name]: server } }
}
