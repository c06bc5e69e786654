import { expect, it } from 'vitest'
import { translated } from '../../console/src/i18n/server-texts.ts'
import { SERVER_TEXTS_ZH } from '../../console/src/i18n/server-texts-zh.ts'
import { gatewayFailure, judgeGatewayAnswer } from '../../src/api/gateway-check.ts'
import { TOO_MANY_DEFAULT_CELLS } from '../../src/api/sync-input.ts'
import { ERROR_FACTS } from '../../src/domain/errors.ts'
import { judgeHeaders } from '../../src/domain/header-rules.ts'
import { judgeCustomToken } from '../../src/domain/token.ts'
import { createEgressPolicy } from '../../src/egress/policy.ts'
import { networkFailure } from '../../src/mcp/errors.ts'
import { parseCozeCookie } from '../../src/platforms/coze/cookie.ts'
import { checkedGatewayUrl, textRulesFor } from '../../src/platforms/coze/normalise.ts'
import { findForeign } from '../../src/platforms/dify/conflicts.ts'
import type { Neighbour } from '../../src/platforms/dify/database.ts'
import { mapPostgresError } from '../../src/platforms/dify/postgres-errors.ts'

/** What the server really says, taken from where it says it: the Chinese console must know it. */

const policy = createEgressPolicy({
  allow: [],
  deny: ['10.0.0.0/8'],
  loopbackAllowed: false,
  ownPorts: new Set([8080]),
  ownGatewayUrls: ['https://mcp.test'],
})
const thrown = (work: () => unknown) => {
  try {
    work()
  } catch (error) {
    return (error as Error).message
  }
  throw new Error('nothing was refused')
}
const database = { host: 'db', port: 5432, user: 'u', database: 'dify', tls: 'prefer', phase: 'connect' } as const
const fromPostgres = (code: string, message = '') => {
  const mapped = mapPostgresError(Object.assign(new Error(message), { code }), database)
  return mapped.message
}
const fromToken = (token: string) => {
  const judged = judgeCustomToken(token)
  return judged.ok ? '' : judged.reason
}

const inTheWay = (row: Partial<Neighbour>) => {
  const other = { id: 'other', tenantId: 'here', name: 'By hand', serverIdentifier: 'by-hand', serverUrlHash: 'other' }
  const own = { tenantId: 'here', id: 'own', identifier: 'same', urlHash: 'same' }
  return findForeign([{ ...other, matchedIdentifier: null, ...row }], own)?.message ?? ''
}

const SAID = [
  ...[
    'https://mcp.test/mcp-gateway/x/mcp',
    'ftp://x',
    'nonsense',
    'http://127.0.0.1:3000',
    'http://10.1.2.3/',
    'http://169.254.169.254/',
    'http://a b',
  ].map((url) => thrown(() => policy.checkUrl(url))),
  ...['28P01', '28000', '3D000', '42P01', 'ECONNREFUSED', '25006'].map((code) => fromPostgres(code)),
  fromPostgres('42501', 'permission denied for table tenants'),
  ...['ECONNREFUSED', 'ENOTFOUND', 'ECONNRESET', 'CERT_HAS_EXPIRED'].map(
    (code) => networkFailure(Object.assign(new Error('x'), { code })).message,
  ),
  ...['short', 'a'.repeat(40), `${'b'.repeat(30)}é`].map(fromToken),
  ...judgeHeaders({ '': 'x', 'Content-Length': '1', 'X Y': 'z', 'X-A': '', 'X-B': 'a\nb' }, 'headers').map(
    ({ reason }) => reason,
  ),
  thrown(() => parseCozeCookie('a=b')),
  thrown(() => checkedGatewayUrl('http://gw.test', textRulesFor('https://www.coze.cn'))),
  ...[200, 302, 502].map((status) => judgeGatewayAnswer(status, '').detail ?? ''),
  gatewayFailure(Object.assign(new Error('x'), { code: 'ECONNREFUSED' })),
  TOO_MANY_DEFAULT_CELLS,
  inTheWay({ id: 'own', tenantId: 'another' }),
  inTheWay({ serverIdentifier: 'same' }),
  inTheWay({ serverUrlHash: 'same' }),
]

it.each(SAID)('%s', (text) => {
  const chinese = translated(text, SERVER_TEXTS_ZH)
  expect(chinese).toMatch(/[\u4e00-\u9fff]/)
  expect(chinese).not.toMatch(/\$\d/)
})

it.each(Object.entries(ERROR_FACTS))('the hint of %s is the server’s own in Chinese', (_type, { hint }) => {
  expect(translated(hint.en, SERVER_TEXTS_ZH)).toBe(hint.zh)
})

it('what is not known stays as it is', () => {
  expect(translated('Something new.', SERVER_TEXTS_ZH)).toBeNull()
})
