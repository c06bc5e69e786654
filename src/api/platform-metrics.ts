import { Gauge, type Registry } from 'prom-client'
import type { Store } from '../store/store.ts'

/** When credentials are expected to end, read when somebody asks. */
export function registerPlatformMetrics(registry: Registry, store: Store): void {
  registry.registerMetric(
    new Gauge({
      name: 'toolferry_platform_credential_expiry_timestamp_seconds',
      help: 'When the platform’s credential is expected to end, Unix time. Platforms that do not tell are missing.',
      labelNames: ['platform_id', 'platform'],
      registers: [],
      async collect() {
        const rows = await store.db.platform.findMany({
          where: { credentialExpiresAt: { not: null }, sealedCredential: { not: null } },
          select: { id: true, name: true, credentialExpiresAt: true },
        })
        this.reset()
        for (const { id, name, credentialExpiresAt } of rows) {
          if (credentialExpiresAt === null) continue
          this.set({ platform_id: id, platform: name }, credentialExpiresAt.getTime() / 1000)
        }
      },
    }),
  )
}
