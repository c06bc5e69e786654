import { isIP } from 'node:net'
import { unbindable } from './codes.ts'
import type { NameValue, PluginMeta } from './simulator-types.ts'
import type { World } from './world.ts'
import { refusal } from './world.ts'

/** What COZE takes (coze.md §7.1, §7.2). Lengths count code points. */

const NAME = /^[\w\s\u4e00-\u9fa5]+$/u
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const LOCATIONS = ['1', '2', '3', '4'] as const

export function checkName(world: World, name: string): void {
  if (name.trim() === '') throw invalid(world, 'name is required')
  if (world.switches.textRules) {
    if (charCount(name) > 30) throw invalid(world, '名称不能超过30个字符')
    if (!NAME.test(name)) throw invalid(world, '仅支持输入中文、字母、数字、下划线或空格')
  }
  checkContent(world, name)
}

export function checkDesc(world: World, desc: string): void {
  if (desc.trim() === '') throw invalid(world, 'desc is required')
  if (world.switches.textRules && charCount(desc) > 600) throw invalid(world, '描述不能超过600个字符')
  checkContent(world, desc)
}

/** An HTTPS domain: no IP address, no name of this machine or of a local network. */
export function checkUrl(world: World, url: string): void {
  if (!URL.canParse(url)) throw invalid(world, 'url is not a URL')
  const parsed = new URL(url)
  if (world.insecureOrigins.has(parsed.origin)) return
  const host = parsed.hostname.replace(/^\[(.*)\]$/, '$1')
  if (parsed.protocol !== 'https:') throw invalid(world, 'MCP 服务地址仅支持 HTTPS')
  if (isIP(host) !== 0) throw invalid(world, 'MCP 服务地址仅支持域名，不支持 IP')
  if (!host.includes('.') || /\.(localhost|local|internal)\.?$/.test(host)) {
    throw invalid(world, 'MCP 服务地址须为公网可访问的域名')
  }
  if (parsed.username !== '' || parsed.password !== '') throw invalid(world, 'url has credentials')
}

/** The locations that the request names, checked; those it does not name stay as they were. */
export function readCommonParams(
  world: World,
  value: unknown,
  before: PluginMeta['commonParams'],
): PluginMeta['commonParams'] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw unbindable('common_params')
  const result = { ...before }
  for (const [location, list] of Object.entries(value)) {
    const key = LOCATIONS.find((known) => known === location)
    if (key === undefined) throw invalid(world, `common_params has no location ${location}`)
    result[key] = readPairs(list, `common_params["${location}"]`)
  }
  if (world.switches.textRules) checkHeaders(world, result[4])
  return result
}

/** The auth block, which an `auth_type` in a request builds anew (§2.6). */
export function readAuth(world: World, body: Record<string, unknown>): PluginMeta['auth'] {
  const type = body.auth_type
  if (typeof type !== 'number') throw unbindable('auth_type')
  const text = (key: string) => (typeof body[key] === 'string' ? body[key] : '')
  const number = (key: string) => (typeof body[key] === 'number' ? body[key] : 0)
  if (![0, 1, 3].includes(type)) throw invalid(world, 'auth_type')
  const oauthInfo = text('oauth_info')
  if (oauthInfo !== '' && !isJson(oauthInfo)) throw invalid(world, 'oauth_info is not JSON')
  if (type === 3 && oauthInfo === '') throw invalid(world, 'oauth_info is required')
  const auth = {
    type,
    subType: number('sub_auth_type'),
    location: number('location'),
    key: text('key'),
    serviceToken: text('service_token'),
    payload: text('auth_payload'),
    oauthInfo: oauthInfo === '' ? '{}' : oauthInfo,
  }
  if (type === 1 && auth.subType === 0) {
    if (auth.location !== 1 && auth.location !== 2) throw invalid(world, 'location')
    if (auth.key === '' || auth.serviceToken === '') throw invalid(world, 'key and service_token are required')
  }
  if (auth.key.length > 100 || auth.serviceToken.length > 2000) throw invalid(world, 'key or service_token is too long')
  return auth
}

export function checkContent(world: World, text: string): void {
  if (world.switches.sensitiveWords.some((word) => text.includes(word))) throw refusal(world, 'contentCheck')
}

export function charCount(text: string): number {
  return [...text].length
}

function checkHeaders(world: World, headers: NameValue[]): void {
  if (headers.length > 20) throw invalid(world, 'at most 20 headers')
  for (const { name, value } of headers) {
    if (!HEADER_NAME.test(name) || name.length > 100) throw invalid(world, 'header name')
    if (value.length > 2000) throw invalid(world, 'header value is too long')
    if (/[\r\n\0]/.test(value)) throw invalid(world, 'header value')
  }
}

function readPairs(value: unknown, where: string): NameValue[] {
  if (!Array.isArray(value)) throw unbindable(where)
  return value.map((entry: unknown) => {
    const { name, value: text } = (typeof entry === 'object' && entry !== null ? entry : {}) as Record<string, unknown>
    if (typeof name !== 'string' || typeof text !== 'string') throw unbindable(where)
    return { name, value: text }
  })
}

function invalid(world: World, detail: string) {
  return refusal(world, 'invalidParameter', detail)
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
