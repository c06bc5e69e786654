import {
  acceptedContent,
  CLIENT_CAPABILITIES_META_KEY,
  type ClientCapabilities,
  inputRequired,
  type McpServer,
  type RequestStateCodec,
  type ServerContext,
} from '@modelcontextprotocol/server'
import { z } from 'zod'
import { text } from './reference-features.ts'

/** Questions of 2026-07-28: the tool's answer says what is missing, and the client calls again with it. */

const ASK_NAME = inputRequired.elicit({
  message: 'What is your name?',
  requestedSchema: { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] },
})
const named = z.object({ name: z.string() })

const askModel = (question: string, maxTokens: number) =>
  inputRequired.createMessage({
    messages: [{ role: 'user', content: { type: 'text', text: question } }],
    maxTokens,
  })

/** What this request says its client can do. */
function declaredCapabilities(ctx: ServerContext): ClientCapabilities | undefined {
  // The package gives the envelope's keys no type.
  return (ctx.mcpReq.envelope as Record<string, ClientCapabilities> | undefined)?.[CLIENT_CAPABILITIES_META_KEY]
}

export function registerRounds(mcp: McpServer, states: RequestStateCodec<{ round: number }>): void {
  type Answer = ReturnType<typeof text> | ReturnType<typeof inputRequired>
  const tool = (name: string, run: (ctx: ServerContext) => Answer | Promise<Answer>) =>
    mcp.registerTool(`test_input_required_result_${name}`, { description: `Conformance tool ${name}` }, (ctx) =>
      run(ctx),
    )
  const nameOf = (ctx: ServerContext, key: string) => acceptedContent(ctx.mcpReq.inputResponses, key, named)?.name
  const has = (ctx: ServerContext, key: string) => ctx.mcpReq.inputResponses?.[key] !== undefined

  tool('elicitation', (ctx) => {
    const name = nameOf(ctx, 'user_name')
    return name === undefined ? inputRequired({ inputRequests: { user_name: ASK_NAME } }) : text(`Hello, ${name}!`)
  })
  tool('sampling', (ctx) => {
    const answer = z
      .object({ content: z.object({ text: z.string() }) })
      .safeParse(ctx.mcpReq.inputResponses?.capital_question)
    if (answer.success) return text(answer.data.content.text)
    return inputRequired({ inputRequests: { capital_question: askModel('What is the capital of France?', 100) } })
  })
  tool('list_roots', (ctx) => {
    const answer = z
      .object({ roots: z.array(z.object({ uri: z.string() })) })
      .safeParse(ctx.mcpReq.inputResponses?.client_roots)
    if (answer.success) return text(`Roots: ${answer.data.roots.map(({ uri }) => uri).join(', ')}`)
    return inputRequired({ inputRequests: { client_roots: inputRequired.listRoots() } })
  })
  const confirm = (okText: string) => async (ctx: ServerContext) => {
    if (has(ctx, 'confirm') && ctx.mcpReq.requestState<{ round: number }>()?.round === 1) return text(okText)
    return inputRequired({
      inputRequests: {
        confirm: inputRequired.elicit({
          message: 'Please confirm',
          requestedSchema: { type: 'object', properties: { ok: { type: 'boolean' } }, required: ['ok'] },
        }),
      },
      requestState: await states.mint({ round: 1 }),
    })
  }
  tool('request_state', confirm('state-ok'))
  tool('tampered_state', confirm('untouched'))
  tool('multiple_inputs', async (ctx) => {
    const keys = ['user_name', 'greeting', 'client_roots']
    if (keys.every((key) => has(ctx, key))) return text(`Hello, ${nameOf(ctx, 'user_name') ?? 'you'}!`)
    return inputRequired({
      inputRequests: {
        user_name: ASK_NAME,
        greeting: askModel('Generate a greeting', 50),
        client_roots: inputRequired.listRoots(),
      },
      requestState: await states.mint({ round: 1 }),
    })
  })
  tool('multi_round', async (ctx) => {
    const round = ctx.mcpReq.requestState<{ round: number }>()?.round ?? 0
    if (round === 2 && has(ctx, 'step2')) return text('Both steps are done.')
    if (round === 1 && has(ctx, 'step1')) {
      return inputRequired({
        inputRequests: {
          step2: inputRequired.elicit({
            message: 'Step 2: What is your favorite color?',
            requestedSchema: { type: 'object', properties: { color: { type: 'string' } }, required: ['color'] },
          }),
        },
        requestState: await states.mint({ round: 2 }),
      })
    }
    return inputRequired({
      inputRequests: {
        step1: inputRequired.elicit({
          message: 'Step 1: What is your name?',
          requestedSchema: { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] },
        }),
      },
      requestState: await states.mint({ round: 1 }),
    })
  })
  tool('capabilities', (ctx) => {
    if (ctx.mcpReq.inputResponses !== undefined) return text('answered')
    const declared = declaredCapabilities(ctx)
    const inputRequests = {
      ...(declared?.sampling === undefined ? {} : { question: askModel('Say hello', 50) }),
      ...(declared?.elicitation === undefined ? {} : { user_name: ASK_NAME }),
      ...(declared?.roots === undefined ? {} : { client_roots: inputRequired.listRoots() }),
    }
    return Object.keys(inputRequests).length === 0 ? text('nothing can be asked') : inputRequired({ inputRequests })
  })
  // The package answers -32021 by itself when the client has not declared what is asked of it.
  mcp.registerTool('test_missing_capability', { description: 'Needs the client’s model' }, async () =>
    inputRequired({ inputRequests: { question: askModel('Say hello', 50) } }),
  )
  mcp.registerTool('test_streaming_elicitation', { description: 'Progress, then a question' }, async (ctx) => {
    const name = nameOf(ctx, 'user_name')
    if (name !== undefined) return text(`Hello, ${name}!`)
    return inputRequired({ inputRequests: { user_name: ASK_NAME } })
  })
  mcp.registerPrompt('test_input_required_result_prompt', { description: 'A prompt that asks first' }, async (ctx) => {
    const answer = acceptedContent(ctx.mcpReq.inputResponses, 'user_context', z.object({ context: z.string() }))
    if (answer !== undefined) {
      return { messages: [{ role: 'user', content: { type: 'text', text: `Context: ${answer.context}` } }] }
    }
    return inputRequired({
      inputRequests: {
        user_context: inputRequired.elicit({
          message: 'What context should the prompt use?',
          requestedSchema: { type: 'object', properties: { context: { type: 'string' } }, required: ['context'] },
        }),
      },
    })
  })
}
