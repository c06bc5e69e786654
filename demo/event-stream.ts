export type ServerSentEvent = { event: string; data: string; id: string | null }

/** A line end; a CR at the very end may be the first half of one, so it waits for what follows. */
const LINE_END = /\r\n|\n|\r(?!$)/

/** Reads a text/event-stream body, event by event, until it ends. */
export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerSentEvent> {
  let name = 'message'
  let id: string | null = null
  let data: string[] = []
  for await (const line of readLines(body)) {
    if (line === '') {
      if (data.length > 0) yield { event: name, data: data.join('\n'), id }
      name = 'message'
      data = []
      continue
    }
    const [, field, value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? []
    if (field === 'event') name = value
    else if (field === 'data') data.push(value)
    else if (field === 'id') id = value
  }
}

async function* readLines(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of body) {
    const lines = (text + decoder.decode(chunk, { stream: true })).split(LINE_END)
    text = lines.pop() ?? ''
    yield* lines
  }
}
