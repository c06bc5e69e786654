import type { ForeignObject } from '../../domain/object.ts'
import type { Neighbour } from './database.ts'
import { describeProvider } from './provider-row.ts'

/** Which of `rows` stands in the way of a provider with this identity and URL; null when none does. Pure. */
export function findForeign(
  rows: readonly Neighbour[],
  own: { tenantId: string; id: string; identifier: string; urlHash: string },
): ForeignObject | null {
  for (const row of rows) {
    if (row.id === own.id && row.tenantId !== own.tenantId) {
      return foreign(row, 'identifier', 'The id recorded for this provider belongs to a provider of another workspace.')
    }
  }
  const others = rows.filter((row) => row.tenantId === own.tenantId && row.id !== own.id)
  const sameIdentifier = others.find(
    (row) => row.serverIdentifier === own.identifier || row.matchedIdentifier === own.identifier,
  )
  if (sameIdentifier !== undefined) {
    return foreign(sameIdentifier, 'identifier', `${notOurs(sameIdentifier)} the same server identifier. ${REMEDY}`)
  }
  const sameUrl = others.find((row) => row.serverUrlHash === own.urlHash)
  if (sameUrl !== undefined) return foreign(sameUrl, 'url', `${notOurs(sameUrl)} the same URL. ${REMEDY}`)
  return null
}

const REMEDY = 'Remove it in Dify, or adopt it, then sync again.'

function notOurs(row: Neighbour): string {
  return `The workspace has an MCP provider ${describeProvider(row)}, not recorded as this one, with`
}

function foreign(row: Neighbour, because: ForeignObject['because'], message: string): ForeignObject {
  return { remoteId: row.id, name: row.name, because, message }
}
