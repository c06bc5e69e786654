import { z } from '@hono/zod-openapi'
import type { Idempotency } from '../store/idempotency.ts'
import type { Store } from '../store/store.ts'
import type { ApiContext } from './context.ts'

/** `Idempotency-Key`: a call whose answer was lost can be sent again. Remembered for a day, for the API key that sent it. */

/** `description`: what the same call sent again gets. */
export function idempotencyHeader({ description }: { description: string }) {
  return z.object({
    'idempotency-key': z
      .string()
      .regex(/^[\x21-\x7e]{1,255}$/, 'must be 1 to 255 visible ASCII characters')
      .optional()
      .openapi({ description }),
  })
}

/** `input`: all that the request asks for, which the key stands for from now on. Null without the header. */
export function idempotencyOf(
  c: ApiContext,
  store: Pick<Store, 'digest'>,
  key: string | undefined,
  input: unknown,
): Idempotency | null {
  if (key === undefined) return null
  return { apiKeyId: c.get('principal')?.apiKeyId ?? '', key, requestHash: store.digest(canonicalJson(input)) }
}

/** The same text for the same value, whatever the order of its properties. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  )
}
