import { randomUUID } from 'node:crypto'
import { createDifyDatabase, footprint } from '../../support/dify-database.ts'
import { describePlatformContract } from '../contract.ts'
import { addForeign, desiredObject, ENGINES, openPlatform, spaceOf } from './harness.ts'

for (const engine of ENGINES) {
  describePlatformContract(`Dify on ${engine}`, async () => {
    const db = await createDifyDatabase({ engine })
    return {
      openPlatform: () => openPlatform(db),
      desired: (change) => desiredObject(change),
      close: () => db.drop(),
      addSpace: async () => {
        const workspace = await db.addWorkspace({ name: `workspace ${randomUUID()}` })
        const { tenantId } = workspace
        return {
          ref: spaceOf(workspace),
          snapshot: () => footprint(db),
          count: async () => (await db.rows(tenantId)).length,
          addForeign: (url, name) => addForeign(db, workspace, { url, ...(name === undefined ? {} : { name }) }),
          has: async (id) => (await db.rows(tenantId)).some((row) => row.id === id),
          deleteBehindOurBack: async (id) =>
            void (await db.query('DELETE FROM tool_mcp_providers WHERE id = $1', [id])),
        }
      },
    }
  })
}
