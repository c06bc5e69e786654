import { z } from 'zod'

/**
 * What COZE answers, as far as Toolferry relies on it (coze.md §2). Ids come as strings or numbers; absent and empty optional
 * fields are both legal; everything else passes unread.
 */
const id = z.union([z.string(), z.number()]).transform(String)
/** "0" and "" mean none. */
const optionalId = id
  .nullish()
  .transform((value) => (value === undefined || value === '' || value === '0' ? null : value))
const number = z.union([z.number(), z.string().regex(/^-?\d+$/)]).transform(Number)
const text = z
  .string()
  .nullish()
  .transform((value) => value ?? '')
const flag = z
  .boolean()
  .nullish()
  .transform((value) => value === true)
const count = number.nullish().transform((value) => value ?? 0)
const list = <T extends z.ZodType>(item: T) =>
  z
    .array(item)
    .nullish()
    .transform((items) => items ?? [])

/** Every answer: `code`, and its words under one of two names. Words of an odd kind must not hide the code. */
export const envelope = z.looseObject({
  code: z.union([z.number(), z.string()]).transform(String).optional(),
  msg: z.unknown().optional(),
  message: z.unknown().optional(),
})

/** coze.md §2.2 */
export const enterprisesAnswer = z.object({
  data: z.object({
    personal_account_info: z.object({ user_id: optionalId, user_name: text, nick_name: text }).nullish(),
    enterprise_info_list: list(
      z.object({ enterprise_id: z.string(), name: text, default_organization_id: optionalId }),
    ),
  }),
})

/** coze.md §3.3 */
export const accountAnswer = z.object({
  message: z.string(),
  data: z.looseObject({ user_id_str: optionalId, screen_name: text }),
})

/** coze.md §2.2 */
export const organizationsAnswer = z.object({
  data: z.object({
    organization_list: list(z.object({ organization_id: id, organization_name: text, name: text })),
    total: number.nullish(),
    has_more: z.boolean().nullish(),
  }),
})

/** coze.md §2.1 */
export const spacesAnswer = z.object({
  data: z.object({
    bot_space_list: list(
      z.object({
        id,
        name: text,
        space_type: count,
        role_type: count,
        space_role_type: count,
        owner_name: text,
        owner_user_name: text,
        space_apply_status: count,
      }),
    ),
    has_more: flag,
  }),
})
export type SpaceItem = z.infer<typeof spacesAnswer>['data']['bot_space_list'][number]

/** coze.md §2.3; the address of the server is not in it. */
export const libraryAnswer = z.object({
  cursor: id.nullish(),
  has_more: flag,
  resource_list: list(
    z.object({
      res_id: id,
      res_type: count,
      res_sub_type: number.nullish(),
      name: text,
      creator_id: optionalId,
      edit_time: count,
      publish_status: count,
      del_flag: flag,
    }),
  ),
})
export type LibraryItem = z.infer<typeof libraryAnswer>['resource_list'][number]

/** With all that it holds: it is sent back whole. */
const param = z.looseObject({ name: z.string(), value: text })
const params = z
  .record(z.string(), list(param))
  .nullish()
  .transform((value) => value ?? {})
export type CommonParams = z.infer<typeof params>

/** A list here, which may be empty, and a number in requests; none (0) when it cannot be told. */
const authType = z
  .union([z.array(number), number])
  .nullish()
  .transform((value) => [value ?? []].flat()[0] ?? 0)
  .catch(0)

/** coze.md §2.4. Holds header values in clear: never to be logged. */
export const pluginAnswer = z.object({
  meta_info: z.object({
    name: text,
    desc: text,
    url: text,
    common_params: params,
    auth_type: authType,
    sub_auth_type: count.catch(0),
    location: count.catch(0),
    key: text.catch(''),
  }),
  status: flag,
  published: flag,
  creator: z.object({ id: optionalId, name: text, self: z.boolean().nullish() }).nullish(),
  statistic_data: z.object({ bot_quote: count }).nullish(),
  plugin_product_status: count,
  edit_version: number.nullish(),
  plugin_type: number.nullish(),
})
export type PluginInfo = z.infer<typeof pluginAnswer>

/** coze.md §2.5 */
export const registerAnswer = z.object({ plugin_id: id.refine((value) => value !== '' && value !== '0') })

/** Where nothing but the code counts. */
export const anyAnswer = z.looseObject({})

/** coze.md §2.9 */
export const pluginToolsAnswer = z.object({
  api_info: list(z.object({ name: text, disabled: flag })),
  total: number.nullish(),
})

/** coze.md §2.9: published plugins with their tools, many at once. */
export const playgroundAnswer = z.object({
  data: z.object({
    plugin_list: list(
      z.object({
        id,
        name: text,
        desc_for_human: text,
        plugin_apis: list(z.object({ name: text })),
        common_params: params,
        version_name: text,
      }),
    ),
  }),
})
export type PlaygroundItem = z.infer<typeof playgroundAnswer>['data']['plugin_list'][number]

/** coze.md §2.11; these keys are in capitals. */
export const lockAnswer = z.object({
  data: z
    .object({
      Occupied: flag,
      user: z.object({ name: text, self: z.boolean().nullish() }).nullish(),
    })
    .nullish(),
})

/** coze.md §2.12 */
export const nextVersionAnswer = z.object({ next_version_name: text })
export const historyAnswer = z.object({ plugin_publish_info_list: list(z.object({ version_name: text })) })
