import type { Engine } from './client.ts'
import { chunksOf, timeText } from './columns.ts'
import type { Store } from './store.ts'

export type TokenUse = { tokenId: string; at: Date }

/** Sets when tokens were used last, from a JSON list of [id, time]; an earlier time never replaces a later one. */
export const TOUCH: Record<Engine, string> = {
  sqlite: `UPDATE "GatewayToken" SET "lastUsedAt" = used.value ->> 1
    FROM json_each(?) AS used WHERE "GatewayToken"."id" = used.value ->> 0
    AND ("GatewayToken"."lastUsedAt" IS NULL OR "GatewayToken"."lastUsedAt" < used.value ->> 1)`,
  mysql: `UPDATE JSON_TABLE(?, '$[*]' COLUMNS (\`id\` VARCHAR(36) PATH '$[0]', \`at\` DATETIME(3) PATH '$[1]')) AS used
    STRAIGHT_JOIN \`GatewayToken\` ON \`GatewayToken\`.\`id\` = used.\`id\`
    SET \`GatewayToken\`.\`lastUsedAt\` = used.\`at\`
    WHERE \`GatewayToken\`.\`lastUsedAt\` IS NULL OR \`GatewayToken\`.\`lastUsedAt\` < used.\`at\``,
}

/** The parameter of TOUCH. In the order of the ids, as two gateways may touch the same tokens. */
export function usesText(engine: Engine, uses: readonly TokenUse[]): string {
  const sorted = uses.toSorted((a, b) => (a.tokenId < b.tokenId ? -1 : 1))
  return JSON.stringify(sorted.map(({ tokenId, at }) => [tokenId, timeText(engine, at)]))
}

/** Notes when tokens were used last. The gateway need not see it. */
export async function touchTokens(store: Store, uses: readonly TokenUse[]): Promise<void> {
  for (const chunk of chunksOf(uses)) {
    const text = usesText(store.engine, chunk)
    await store.write((tx) => tx.$executeRawUnsafe(TOUCH[store.engine], text))
  }
}
