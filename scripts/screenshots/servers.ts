import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  answer,
  type ScriptedServer,
  type ScriptedTool,
  startScriptedServer,
} from '../../test/support/scripted-mcp-server.ts'

/** MCP servers as a company has them, made up for the pictures. */
export type PictureServer = { name: string; description: string; shownUrl: string; server: ScriptedServer }

const text = (description: string, rest: Record<string, unknown> = {}) => ({ type: 'string', description, ...rest })

const ORDER_TOOLS: ScriptedTool[] = [
  {
    name: 'search_orders',
    description: 'Finds orders by customer, state and date. The newest first.',
    inputSchema: {
      type: 'object',
      properties: {
        customer: text('Name or e-mail of the customer'),
        state: text('Only orders in this state', { enum: ['open', 'shipped', 'returned'] }),
        limit: { type: 'integer', description: 'At most this many', default: 20 },
      },
      required: ['customer'],
    },
  },
  {
    name: 'get_order',
    description: 'One order with its lines, payments and parcels.',
    inputSchema: { type: 'object', properties: { id: text('Order number, like 2026-1187') }, required: ['id'] },
  },
  {
    name: 'refund_order',
    description: 'Starts a refund; somebody in accounting confirms it.',
    inputSchema: {
      type: 'object',
      properties: { id: text('Order number'), reason: text('What the customer said') },
      required: ['id', 'reason'],
    },
  },
]

const ARTICLE_TOOLS: ScriptedTool[] = [
  {
    name: 'search_articles',
    description: 'Full-text search over the help centre.',
    inputSchema: { type: 'object', properties: { query: text('Words to look for') }, required: ['query'] },
  },
  {
    name: 'read_article',
    description: 'One article as Markdown.',
    inputSchema: { type: 'object', properties: { slug: text('From a search result') }, required: ['slug'] },
  },
]

const WEATHER_TOOLS: ScriptedTool[] = [
  {
    name: 'forecast',
    description: 'Weather of the coming days for a place.',
    inputSchema: {
      type: 'object',
      properties: { place: text('City, or latitude and longitude'), days: { type: 'integer', default: 3 } },
      required: ['place'],
    },
  },
]

const INVOICE_TOOLS: ScriptedTool[] = [
  {
    name: 'find_invoice',
    description: 'Finds an invoice by number or customer.',
    inputSchema: { type: 'object', properties: { query: text('Number or customer') }, required: ['query'] },
  },
]

const ANSWERS: Record<string, string> = {
  search_orders: JSON.stringify(
    [
      { id: '2026-1187', customer: 'Mei Lindqvist', state: 'shipped', total: '184.00 EUR' },
      { id: '2026-1142', customer: 'Mei Lindqvist', state: 'returned', total: '39.90 EUR' },
    ],
    null,
    2,
  ),
  get_order: JSON.stringify({ id: '2026-1187', state: 'shipped', lines: 3 }),
  search_articles: JSON.stringify([{ slug: 'return-a-parcel', title: 'Return a parcel' }]),
  forecast: JSON.stringify({ place: 'Hangzhou', days: ['18 °C, clear', '16 °C, rain', '19 °C, clear'] }),
}

const SERVERS = [
  { name: 'Order search', description: 'Orders, parcels and refunds of the shop', host: 'orders', tools: ORDER_TOOLS },
  { name: 'Help centre', description: 'Articles of the help centre', host: 'help', tools: ARTICLE_TOOLS },
  { name: 'Weather', description: 'Forecasts for the field service', host: 'weather', tools: WEATHER_TOOLS },
  { name: 'Invoices', description: 'The archive of accounting', host: 'invoices', tools: INVOICE_TOOLS },
]

export function startPictureServers(): Promise<PictureServer[]> {
  return Promise.all(
    SERVERS.map(async ({ name, description, host, tools }) => {
      const server = await startScriptedServer({
        tools,
        intercept: (_request, response, message) => {
          if (message?.method !== 'tools/call') return false
          const said = ANSWERS[String(message.params?.name)] ?? '{}'
          answer(response, message, { result: { content: [{ type: 'text', text: said }] } })
          return true
        },
      })
      return { name, description, shownUrl: `http://${host}.internal:3000/mcp`, server }
    }),
  )
}

/** Takes every message of a webhook. */
export async function startWebhookReceiver(): Promise<{ origin: string; stop: () => Promise<void> }> {
  const receiver = createServer((_request, response) => response.end('{"code":0}'))
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve))
  return {
    origin: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`,
    stop: async () => {
      receiver.closeAllConnections()
      await new Promise((resolve) => receiver.close(resolve))
    },
  }
}
