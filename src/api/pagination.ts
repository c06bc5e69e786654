import { z } from '@hono/zod-openapi'

/** Lists are `{items, nextCursor}`; the cursors are the store's and opaque. */

export const pageQuery = z.object({
  limit: z.coerce.number().int().min(1).max(200).default(50).openapi({ description: 'Items a page, 1 to 200.' }),
  // A name of 255 characters may stand in it.
  cursor: z.string().max(4000).optional().openapi({ description: 'nextCursor of the page before.' }),
})

export function pageOf<T extends z.ZodType>(item: T) {
  return z.object({
    items: z.array(item),
    nextCursor: z.string().nullable().openapi({ description: 'Null on the last page.' }),
  })
}
