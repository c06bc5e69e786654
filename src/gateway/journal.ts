/** Who called what, how it ended; never a header, an argument or a result. */
export type GatewayJournalEntry = {
  /** When the request arrived. */
  at: Date
  instanceId: string
  /** null: a manual token, an anonymous caller, or nobody we know. */
  bindingId: string | null
  tokenId: string | null
  /** The JSON-RPC method, or the HTTP method of a stream (`GET`) or of a session's end (`DELETE`). At most 128 characters. */
  method: string
  /** Of `tools/call`; at most 191 characters. */
  toolName: string | null
  /** The HTTP status that the caller got; 499 when the caller left before there was one. */
  status: number
  /** Why it was refused or failed, one of the gateway's stable codes; null when it went well. */
  errorCode: string | null
  requestBytes: number
  responseBytes: number
  durationMs: number
  /** 32 hex digits: the caller's W3C `traceparent`, else made here. */
  traceId: string
}

/** Where the gateway reports finished requests. `append` never blocks and never throws: it is on the hot path. */
export type GatewayJournal = {
  append(entry: GatewayJournalEntry): void
  /** Entries lost so far; for the metrics. */
  dropped?(): number
}
