import type { Call } from './call.ts'
import { headersAgree } from './header-agreement.ts'
import type { RefusalCode } from './refusal.ts'
import type { RpcRequest, RpcSummary } from './rpc.ts'
import { judgeTools, parseRequest } from './rpc.ts'
import { readRequest } from './scan.ts'

/**
 * Notes at the call what its body asks for, and answers why it may not, if it may not. A caller whose tools are limited
 * (`tools`) gets the parsed request, which is what goes upstream; for others nothing is judged by the body, and it is null.
 */
export function judgeBody(
  call: Call,
  tools: ReadonlySet<string> | null,
  body: Buffer,
): RpcRequest | RefusalCode | null {
  if (tools === null) {
    const summary = readRequest(body)
    if (typeof summary === 'string') return summary
    note(call, summary)
    return null
  }
  const request = parseRequest(body, true)
  if (typeof request === 'string') return request
  note(call, request)
  const verdict = judgeTools(request, tools)
  if (verdict !== 'ok') return verdict === 'refused' ? 'tool_not_allowed' : 'invalid_request'
  return headersAgree(call.req.rawHeaders, request) ? request : 'header_mismatch'
}

function note(call: Call, { batch, ids, method, toolName }: RpcSummary): void {
  // Not the request itself: the call lives as long as its answer.
  call.ids = { batch, ids }
  call.method = method
  call.toolName = toolName
}
