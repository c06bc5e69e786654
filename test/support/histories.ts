import { Client, Connection } from '@temporalio/client'

export type CapturedHistory = { workflowId: string; history: unknown }

/** Every workflow history of a Temporal server, as JSON. */
export async function captureHistories(address: string, namespace = 'default'): Promise<CapturedHistory[]> {
  const connection = await Connection.connect({ address })
  try {
    const client = new Client({ connection, namespace })
    const captured: CapturedHistory[] = []
    for await (const { workflowId, runId } of client.workflow.list()) {
      const history = await client.workflow.getHandle(workflowId, runId).fetchHistory()
      captured.push({ workflowId, history: JSON.parse(JSON.stringify(history)) })
    }
    return captured
  } finally {
    await connection.close()
  }
}

/**
 * All text in a history: its JSON, and every payload and byte field decoded. Payloads are base64 inside a history, so a
 * plain search through its JSON would find nothing.
 */
export function textOf(value: unknown): string {
  const parts: string[] = []
  const walk = (part: unknown): void => {
    if (typeof part === 'string') {
      parts.push(part)
      if (/^[A-Za-z0-9+/]{8,}={0,2}$/.test(part)) parts.push(Buffer.from(part, 'base64').toString('utf8'))
    } else if (Array.isArray(part)) {
      part.forEach(walk)
    } else if (part !== null && typeof part === 'object') {
      const bytes = bytesOf(part)
      if (bytes !== null) parts.push(bytes.toString('utf8'))
      else for (const [key, inner] of Object.entries(part)) walk([key, inner])
    }
  }
  walk(value)
  return parts.join('\n')
}

/** A Uint8Array or Buffer after a round through JSON. */
function bytesOf(part: object): Buffer | null {
  if ('type' in part && part.type === 'Buffer' && 'data' in part && Array.isArray(part.data))
    return Buffer.from(part.data)
  const values = Object.values(part)
  const isBytes = values.length > 0 && Object.keys(part).every((key, index) => key === String(index))
  return isBytes && values.every((value) => typeof value === 'number') ? Buffer.from(values as number[]) : null
}
