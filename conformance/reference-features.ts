import { setTimeout as sleep } from 'node:timers/promises'
import {
  completable,
  fromJsonSchema,
  type McpServer,
  ResourceTemplate,
  type ServerContext,
} from '@modelcontextprotocol/server'
import { z } from 'zod'

/** What the conformance suite's scenarios call: texts and names are theirs. */

const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=='
const WAV = 'UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA='
const STEP_MS = 50

export const text = (value: string) => ({ content: [{ type: 'text' as const, text: value }] })

/** Tools whose answer is what it is. */
export function registerPlainTools(mcp: McpServer): void {
  const tool = (
    name: string,
    run: (ctx: ServerContext) => ReturnType<typeof text> | Promise<ReturnType<typeof text>>,
  ) =>
    mcp.registerTool(name, { description: `Conformance tool ${name}`, inputSchema: z.object({}) }, (_args, ctx) =>
      run(ctx),
    )

  tool('test_simple_text', () => text('This is a simple text response for testing.'))
  tool('test_error_handling', () => {
    throw new Error('This tool intentionally returns an error for testing')
  })
  mcp.registerTool('test_image_content', { description: 'An image' }, async () => ({
    content: [{ type: 'image', data: PNG, mimeType: 'image/png' }],
  }))
  mcp.registerTool('test_audio_content', { description: 'A sound' }, async () => ({
    content: [{ type: 'audio', data: WAV, mimeType: 'audio/wav' }],
  }))
  mcp.registerTool('test_embedded_resource', { description: 'A resource' }, async () => ({
    content: [
      {
        type: 'resource',
        resource: {
          uri: 'test://embedded-resource',
          mimeType: 'text/plain',
          text: 'This is an embedded resource content.',
        },
      },
    ],
  }))
  mcp.registerTool('test_multiple_content_types', { description: 'Several kinds' }, async () => ({
    content: [
      { type: 'text', text: 'Multiple content types test:' },
      { type: 'image', data: PNG, mimeType: 'image/png' },
      {
        type: 'resource',
        resource: {
          uri: 'test://mixed-content-resource',
          mimeType: 'application/json',
          text: JSON.stringify({ test: 'data', value: 123 }),
        },
      },
    ],
  }))
  tool('test_tool_with_logging', async (ctx) => {
    const steps = ['Tool execution started', 'Tool processing data', 'Tool execution completed']
    for (const [index, step] of steps.entries()) {
      if (index > 0) await sleep(STEP_MS)
      await ctx.mcpReq.log('info', step)
    }
    return text('logged')
  })
  tool('test_logging_tool', async (ctx) => {
    await ctx.mcpReq.log('info', 'only for who asked')
    return text('done')
  })
  tool('test_tool_with_progress', async (ctx) => {
    const progressToken = ctx.mcpReq._meta?.progressToken
    for (const progress of [0, 50, 100]) {
      if (progress > 0) await sleep(STEP_MS)
      if (progressToken === undefined) continue
      await ctx.mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress, total: 100 } })
    }
    return text('progressed')
  })
  tool('test_reconnection', async (ctx) => {
    ctx.http?.closeSSE?.()
    await sleep(2 * STEP_MS)
    return text('reconnected')
  })
  mcp.registerTool(
    'test_x_mcp_header',
    {
      description: 'An argument that is mirrored in a header',
      inputSchema: fromJsonSchema({
        type: 'object',
        properties: { region: { type: 'string', 'x-mcp-header': 'Region' } },
      } as Parameters<typeof fromJsonSchema>[0]),
    },
    async () => text('ok'),
  )
  mcp.registerTool(
    'json_schema_2020_12_tool',
    {
      description: 'Tool with JSON Schema 2020-12 features',
      inputSchema: fromJsonSchema({
        $schema: 'https://json-schema.org/draft/2020-12/schema',
        type: 'object',
        $defs: {
          address: {
            $anchor: 'addressDef',
            type: 'object',
            properties: { street: { type: 'string' }, city: { type: 'string' } },
          },
        },
        properties: {
          name: { type: 'string' },
          address: { $ref: '#/$defs/address' },
          contactMethod: { type: 'string', enum: ['phone', 'email'] },
          phone: { type: 'string' },
          email: { type: 'string' },
        },
        allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
        if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
        // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
        then: { required: ['phone'] },
        else: { required: ['email'] },
        additionalProperties: false,
      } as Parameters<typeof fromJsonSchema>[0]),
    },
    async () => text('ok'),
  )
}

/** Tools that ask the client something in mid-call, on the call's own stream, as sessions up to 2025-11-25 can. */
export function registerAskingTools(mcp: McpServer): void {
  mcp.registerTool(
    'test_sampling',
    { description: 'Asks the client’s model', inputSchema: z.object({ prompt: z.string() }) },
    async ({ prompt }, ctx) => {
      const answer = await ctx.mcpReq.send({
        method: 'sampling/createMessage',
        params: { messages: [{ role: 'user', content: { type: 'text', text: prompt } }], maxTokens: 100 },
      })
      const content = Array.isArray(answer.content) ? answer.content[0] : answer.content
      return text(`LLM response: ${content?.type === 'text' ? content.text : 'none'}`)
    },
  )
  const ask = async (ctx: ServerContext, message: string, requestedSchema: Record<string, unknown>) => {
    const { action, content } = await ctx.mcpReq.send({
      method: 'elicitation/create',
      params: { message, requestedSchema: { type: 'object', ...requestedSchema } },
    })
    return `action=${action}, content=${JSON.stringify(content ?? {})}`
  }
  mcp.registerTool(
    'test_elicitation',
    { description: 'Asks the user', inputSchema: z.object({ message: z.string() }) },
    async ({ message }, ctx) => {
      const answer = await ask(ctx, message, {
        properties: {
          username: { type: 'string', description: "User's response" },
          email: { type: 'string', description: "User's email address" },
        },
        required: ['username', 'email'],
      })
      return text(`User response: ${answer}`)
    },
  )
  const form = (name: string, properties: Record<string, unknown>) =>
    mcp.registerTool(name, { description: `Conformance tool ${name}` }, async (ctx) =>
      text(`Elicitation completed: ${await ask(ctx, 'Please fill in the form', { properties })}`),
    )
  form('test_elicitation_sep1034_defaults', {
    name: { type: 'string', default: 'John Doe' },
    age: { type: 'integer', default: 30 },
    score: { type: 'number', default: 95.5 },
    status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
    verified: { type: 'boolean', default: true },
  })
  const titled = (prefix: string, word: string) =>
    ['First', 'Second', 'Third'].map((title, index) => ({ const: `${prefix}${index + 1}`, title: `${title} ${word}` }))
  form('test_elicitation_sep1330_enums', {
    untitledSingle: { type: 'string', enum: ['option1', 'option2', 'option3'] },
    titledSingle: { type: 'string', oneOf: titled('value', 'Option') },
    legacyEnum: {
      type: 'string',
      enum: ['opt1', 'opt2', 'opt3'],
      enumNames: ['Option One', 'Option Two', 'Option Three'],
    },
    untitledMulti: { type: 'array', items: { type: 'string', enum: ['option1', 'option2', 'option3'] } },
    titledMulti: { type: 'array', items: { anyOf: titled('value', 'Choice') } },
  })
}

export function registerPrompts(mcp: McpServer): void {
  const says = (content: { type: 'text'; text: string }) => ({ role: 'user' as const, content })
  mcp.registerPrompt('test_simple_prompt', { description: 'A simple prompt' }, async () => ({
    messages: [says({ type: 'text', text: 'This is a simple prompt for testing.' })],
  }))
  const places = ['paris', 'park', 'party']
  const completed = (what: string) =>
    completable(z.string().describe(what), (value) => places.filter((place) => place.startsWith(value)))
  mcp.registerPrompt(
    'test_prompt_with_arguments',
    {
      description: 'A prompt with arguments',
      argsSchema: z.object({ arg1: completed('First test argument'), arg2: completed('Second test argument') }),
    },
    async ({ arg1, arg2 }) => ({
      messages: [says({ type: 'text', text: `Prompt with arguments: arg1='${arg1}', arg2='${arg2}'` })],
    }),
  )
  mcp.registerPrompt(
    'test_prompt_with_embedded_resource',
    { description: 'A prompt with a resource', argsSchema: z.object({ resourceUri: z.string() }) },
    async ({ resourceUri }) => ({
      messages: [
        {
          role: 'user',
          content: {
            type: 'resource',
            resource: { uri: resourceUri, mimeType: 'text/plain', text: 'Embedded resource content for testing.' },
          },
        },
        says({ type: 'text', text: 'Please process the embedded resource above.' }),
      ],
    }),
  )
  mcp.registerPrompt('test_prompt_with_image', { description: 'A prompt with an image' }, async () => ({
    messages: [
      { role: 'user', content: { type: 'image', data: PNG, mimeType: 'image/png' } },
      says({ type: 'text', text: 'Please analyze the image above.' }),
    ],
  }))
}

export function registerResources(mcp: McpServer): void {
  mcp.registerResource(
    'static-text',
    'test://static-text',
    { description: 'A text', mimeType: 'text/plain' },
    async (uri) => ({
      contents: [{ uri: uri.href, mimeType: 'text/plain', text: 'This is the content of the static text resource.' }],
    }),
  )
  mcp.registerResource(
    'static-binary',
    'test://static-binary',
    { description: 'An image', mimeType: 'image/png' },
    async (uri) => ({ contents: [{ uri: uri.href, mimeType: 'image/png', blob: PNG }] }),
  )
  mcp.registerResource(
    'watched-resource',
    'test://watched-resource',
    { description: 'May be subscribed to', mimeType: 'text/plain' },
    async (uri) => ({ contents: [{ uri: uri.href, mimeType: 'text/plain', text: 'Watched resource content' }] }),
  )
  mcp.registerResource(
    'template',
    new ResourceTemplate('test://template/{id}/data', { list: undefined }),
    { description: 'A template', mimeType: 'application/json' },
    async (uri, { id }) => ({
      contents: [
        {
          uri: uri.href,
          mimeType: 'application/json',
          text: JSON.stringify({ id: String(id), templateTest: true, data: `Data for ID: ${String(id)}` }),
        },
      ],
    }),
  )
}
