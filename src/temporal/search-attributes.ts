import type { Connection } from '@temporalio/client'
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common'
import type { Logger } from '../telemetry/logger.ts'

/**
 * Our custom search attributes, by which ops filter runs in the Web UI. All Keyword, plain text to the cluster: ids and
 * state names only. workflows/ sets `Outcome` by its name, which is the same.
 */
export const SEARCH_ATTRIBUTES = {
  /** Id of the platform. */
  platform: defineSearchAttributeKey('Platform', SearchAttributeType.KEYWORD),
  /** `sync`, `dry-run`, `remove` or `scheduled`. */
  runKind: defineSearchAttributeKey('RunKind', SearchAttributeType.KEYWORD),
  /** A sync's final state. */
  outcome: defineSearchAttributeKey('Outcome', SearchAttributeType.KEYWORD),
}

/** temporal.api.enums.v1.IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD */
const KEYWORD = 2
/** gRPC ALREADY_EXISTS. */
const ALREADY_EXISTS = 6

/**
 * Makes sure that the namespace has our search attributes. False, with a warning, on a cluster that does not let us or
 * has one of the names with another type; the caller then starts runs without them.
 */
export async function registerSearchAttributes(
  connection: Connection,
  namespace: string,
  logger: Logger,
): Promise<boolean> {
  const names = Object.values(SEARCH_ATTRIBUTES).map((key) => key.name)
  try {
    const missing = await missingNames(connection, namespace, names)
    // One by one: with several in one request an existing one refuses them all.
    for (const name of missing) {
      await connection.operatorService
        .addSearchAttributes({ namespace, searchAttributes: { [name]: KEYWORD } })
        .catch((error: { code?: number }) => {
          // Another process registered it a moment ago.
          if (error.code !== ALREADY_EXISTS) throw error
        })
    }
    return true
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    logger.warn(
      { namespace, reason },
      `the Temporal cluster refused the search attributes ${names.join(', ')}; runs start without them`,
    )
    return false
  }
}

async function missingNames(connection: Connection, namespace: string, names: string[]): Promise<string[]> {
  const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace })
  const foreign = names.find((name) => customAttributes[name] !== undefined && customAttributes[name] !== KEYWORD)
  if (foreign !== undefined) throw new Error(`${foreign} exists and is not a Keyword`)
  return names.filter((name) => customAttributes[name] === undefined)
}
