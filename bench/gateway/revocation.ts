import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { createDatabase } from './mariadb.ts'
import type { Started } from './process.ts'
import { createInstallation, type Installation } from './product.ts'

export type RevocationFigures = { shape: string; refusalMs: number[]; streamEndMs: number[]; answeredMs: number[] }

const TRIALS = 10
const BODY = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'echo', arguments: {} } })

/** From the sending of the PATCH that disables a binding: to the first refusal, to the end of an open stream, to its answer. */
export async function measureRevocation(upstreamUrl: string): Promise<RevocationFigures[]> {
  return [await embedded(upstreamUrl), await separate(upstreamUrl)]
}

async function embedded(upstreamUrl: string): Promise<RevocationFigures> {
  const installation = await createInstallation(null, upstreamUrl)
  const running = await installation.run('all')
  try {
    return await measureTrials('one process (all), SQLite', installation, running.origin, [running.origin])
  } finally {
    await running.stop()
    await installation.remove()
  }
}

async function separate(upstreamUrl: string): Promise<RevocationFigures> {
  const database = await createDatabase()
  const roles: Started[] = []
  try {
    const installation = await createInstallation(database.url, upstreamUrl)
    // No Temporal is needed to change a binding.
    const api = await installation.run('api', { TEMPORAL_ADDRESS: '127.0.0.1:1' })
    roles.push(api)
    const gateways = [await installation.run('gateway'), await installation.run('gateway')]
    roles.push(...gateways)
    const figures = await measureTrials(
      'api + two gateways, MariaDB',
      installation,
      api.origin,
      gateways.map(({ origin }) => origin),
    )
    await installation.remove()
    return figures
  } finally {
    await Promise.all(roles.map((role) => role.stop()))
    await database.drop()
  }
}

/** `api`: who takes the PATCH. `gateways`: who must refuse. */
export async function measureTrials(
  shape: string,
  installation: Installation,
  api: string,
  gateways: string[],
): Promise<RevocationFigures> {
  const figures: RevocationFigures = { shape, refusalMs: [], streamEndMs: [], answeredMs: [] }
  const urls = gateways.map((origin) => `${origin}/mcp-gateway/${installation.instanceId}/mcp`)
  for (let trial = 0; trial < TRIALS; trial++) {
    await setEnabled(installation, api, true)
    for (const url of urls) await untilStatus(url, installation, 200)
    const streams = await Promise.all(urls.map((url) => openStream(url, installation)))
    const startedMs = performance.now()
    const since = () => performance.now() - startedMs
    await Promise.all([
      setEnabled(installation, api, false).then(() => figures.answeredMs.push(since())),
      ...urls.map((url) => untilStatus(url, installation, 403).then(() => figures.refusalMs.push(since()))),
      ...streams.map((stream) => once(stream, 'close').then(() => figures.streamEndMs.push(since()))),
    ])
  }
  return figures
}

async function setEnabled({ bindingId, adminKey }: Installation, api: string, enabled: boolean): Promise<void> {
  const url = `${api}/api/v1/bindings/${bindingId}`
  const authorization = `Bearer ${adminKey}`
  const etag = (await fetch(url, { headers: { authorization } })).headers.get('etag') ?? ''
  const response = await fetch(url, {
    method: 'PATCH',
    headers: { authorization, 'content-type': 'application/json', 'if-match': etag },
    body: JSON.stringify({ enabled }),
  })
  if (!response.ok) throw new Error(`PATCH of the binding: ${response.status} ${await response.text()}`)
  await response.arrayBuffer()
}

async function untilStatus(url: string, { headers }: Installation, status: number): Promise<void> {
  for (;;) {
    const response = await fetch(url, { method: 'POST', headers, body: BODY })
    await response.arrayBuffer()
    if (response.status === status) return
  }
}

async function openStream(url: string, { headers }: Installation): Promise<IncomingMessage> {
  const req = request(url, { headers: { ...headers, Accept: 'text/event-stream' }, agent: false })
  req.end()
  const [res] = (await once(req, 'response')) as [IncomingMessage]
  res.on('error', () => {})
  await once(res, 'data')
  res.resume()
  return res
}
