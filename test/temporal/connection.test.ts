import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { connectClient, connectWorker } from '../../src/temporal/connection.ts'
import { freePorts } from '../../src/temporal/ports.ts'
import { registerSearchAttributes, SEARCH_ATTRIBUTES } from '../../src/temporal/search-attributes.ts'
import { recordingLogger, silentLogger } from '../support/logger.ts'
import { startTestTemporal, type TestTemporal } from '../support/temporal.ts'

let temporal: TestTemporal
beforeAll(async () => {
  temporal = await startTestTemporal()
})
afterAll(() => temporal.stop())

const noTls = { enabled: false, serverName: null, caPath: null, certPath: null, keyPath: null }

describe('connecting', () => {
  it('gives a worker connection that serves', async () => {
    const connection = await connectWorker({ address: temporal.address, namespace: temporal.namespace, tls: noTls })
    const info = await connection.workflowService.getSystemInfo({})
    expect(info.serverVersion).toMatch(/^1\./)
    await connection.close()
  })

  it('names the address when nobody answers, and never the key', async () => {
    const [port] = await freePorts('127.0.0.1', 1)
    const options = { address: `127.0.0.1:${port}`, namespace: 'default', timeoutMs: 500, apiKey: 'canary-key-1' }
    for (const attempt of [connectClient(options), connectWorker(options)]) {
      const error = await attempt.then(
        () => null,
        (thrown) => thrown,
      )
      expect(error).toMatchObject({ type: 'Unavailable', message: expect.stringContaining(`127.0.0.1:${port}`) })
      expect(`${error.message} ${error.stack} ${error.cause?.message}`).not.toContain('canary-key-1')
    }
  })

  it('says so when TLS is asked of a server that speaks none', async () => {
    const options = { address: temporal.address, namespace: temporal.namespace, timeoutMs: 1_000 }
    await expect(connectClient({ ...options, tls: { ...noTls, enabled: true } })).rejects.toMatchObject({
      type: 'Unavailable',
      message: expect.stringContaining('TEMPORAL_TLS'),
    })
  })

  it('names a namespace that is not there', async () => {
    await expect(connectClient({ address: temporal.address, namespace: 'nowhere' })).rejects.toMatchObject({
      type: 'TargetGone',
      message: expect.stringMatching(/127\.0\.0\.1:\d+ has no namespace "nowhere".*TEMPORAL_NAMESPACE/),
    })
  })

  it('names the TLS variable whose file is missing or which lacks its other half', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'toolferry-tls-'))
    const certPath = join(dir, 'client.pem')
    await writeFile(certPath, 'x')
    const tls = { ...noTls, enabled: true }
    const connect = (change: object) =>
      connectClient({ address: temporal.address, namespace: 'default', tls: { ...tls, ...change } })
    await expect(connect({ caPath: join(dir, 'no.pem') })).rejects.toMatchObject({
      type: 'InvalidDesiredState',
      message: expect.stringMatching(/^TEMPORAL_TLS_SERVER_CA_CERT_PATH: .*no\.pem cannot be read \(ENOENT\)/),
    })
    await expect(connect({ certPath })).rejects.toThrow('must be set together')
    await rm(dir, { recursive: true })
  })
})

describe('search attributes', () => {
  it('can be used to start and find runs, and registering again changes nothing', async () => {
    expect(await registerSearchAttributes(temporal.connection, temporal.namespace, silentLogger)).toBe(true)
    await temporal.client.workflow.start('Nothing', {
      workflowId: 'found-by-attribute',
      taskQueue: 'nobody',
      typedSearchAttributes: [
        { key: SEARCH_ATTRIBUTES.platform, value: 'platform-1' },
        { key: SEARCH_ATTRIBUTES.runKind, value: 'dry-run' },
        { key: SEARCH_ATTRIBUTES.outcome, value: 'succeeded' },
      ],
    })
    const query = "Platform = 'platform-1' AND RunKind = 'dry-run' AND Outcome = 'succeeded'"
    // Visibility follows the history with a delay.
    await vi.waitFor(
      async () => {
        const found: string[] = []
        for await (const run of temporal.client.workflow.list({ query })) found.push(run.workflowId)
        expect(found).toEqual(['found-by-attribute'])
      },
      { timeout: 60_000, interval: 100 },
    )
  })

  it('are given up with a warning where a name has another type', async () => {
    const other = await startTestTemporalWith('Platform', SearchAttributeType.INT)
    const { logger, lines } = recordingLogger()
    expect(await registerSearchAttributes(other.connection, other.namespace, logger)).toBe(false)
    expect(lines).toEqual([
      {
        level: 'warn',
        fields: { namespace: other.namespace, reason: 'Platform exists and is not a Keyword' },
        message: expect.stringContaining('Platform, RunKind, Outcome'),
      },
    ])
  })

  it('are given up with a warning where the cluster does not let us', async () => {
    const { logger, lines } = recordingLogger()
    expect(await registerSearchAttributes(temporal.connection, 'nowhere', logger)).toBe(false)
    expect(lines).toHaveLength(1)
    expect(lines[0]?.level).toBe('warn')
  })
})

/** A second namespace of the same server, where the name is taken. */
async function startTestTemporalWith(name: string, type: 'INT') {
  const namespace = 'taken'
  const key = defineSearchAttributeKey(name, type)
  await temporal.connection.workflowService.registerNamespace({
    namespace,
    workflowExecutionRetentionPeriod: { seconds: (await retention()).seconds },
  })
  const INT = 3
  await vi.waitFor(
    () => temporal.connection.operatorService.addSearchAttributes({ namespace, searchAttributes: { [key.name]: INT } }),
    { timeout: 60_000, interval: 200 },
  )
  return { connection: temporal.connection, namespace }
}

async function retention() {
  const { config } = await temporal.connection.workflowService.describeNamespace({ namespace: temporal.namespace })
  return { seconds: config?.workflowExecutionRetentionTtl?.seconds }
}
