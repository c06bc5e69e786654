import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { type Document, openApiTypes } from './openapi-types.ts'
import { digestOf, isFresh } from './stamp.ts'

/**
 * Writes console/src/api/schema.d.ts, the API as the console's client sees it. Does nothing when the sources of the API are
 * those of the last time. Run: node scripts/console-types.ts
 */

const root = resolve(import.meta.dirname, '..')
const output = resolve(root, 'console/src/api/schema.d.ts')
const stamp = resolve(root, 'dist/.console-types')

const digest = digestOf([
  resolve(root, 'src/api'),
  resolve(root, 'src/domain'),
  resolve(import.meta.dirname, 'openapi-types.ts'),
])

if (!isFresh(stamp, digest, [output])) {
  // Loaded only now: the API's modules take a second.
  const { createApi } = await import('../src/api/app.ts')
  const { openApiDocument } = await import('../src/api/docs.ts')
  // Registering routes calls none of them, so none of what they need is needed.
  const app = createApi({ facts: { version: '' }, trustedProxies: [], consoleDirectory: null } as never)
  mkdirSync(dirname(output), { recursive: true })
  writeFileSync(output, openApiTypes(openApiDocument(app, '') as Document))
  mkdirSync(dirname(stamp), { recursive: true })
  writeFileSync(stamp, digest)
}
