import { networkInterfaces } from 'node:os'
import { describe, expect, test } from 'vitest'
import { ToolferryError } from '../../src/domain/errors.ts'
import type { EgressPolicyOptions } from '../../src/egress/policy.ts'
import { createEgressPolicy } from '../../src/egress/policy.ts'

const OWN_PORT = 7233

function policy(changes: Partial<EgressPolicyOptions> = {}) {
  return createEgressPolicy({
    allow: [],
    deny: [],
    loopbackAllowed: true,
    ownPorts: new Set([OWN_PORT]),
    ...changes,
  })
}

/** The message of the refusal, or null when it was let through. */
function refused(work: () => unknown): string | null {
  try {
    work()
    return null
  } catch (error) {
    if (!(error instanceof ToolferryError)) throw error
    expect(error.type).toBe('InvalidDesiredState')
    return error.message
  }
}

async function refusedLater(work: Promise<unknown>): Promise<string | null> {
  const error = await work.then(
    () => null,
    (reason: unknown) => reason,
  )
  return error === null
    ? null
    : refused(() => {
        throw error
      })
}

const open = () => policy({ allow: ['0.0.0.0/0', '::/0', '*', '*.internal', 'metadata.google.internal'] })

describe('never, whatever the allow-list says', () => {
  test.each([
    ['AWS metadata', '169.254.169.254'],
    ['link-local', '169.254.1.1'],
    ['ECS task metadata', '169.254.170.2'],
    ['decimal host', '2852039166'],
    ['hex host', '0xa9fea9fe'],
    ['octal host', '0251.0376.0251.0376'],
    ['mixed and short host', '0xa9.0376.43518'],
    ['percent-encoded host', '%31%36%39.254.169.254'],
    ['full-width digits', '１６９.254.169.254'],
    ['trailing dot', '169.254.169.254.'],
    ['IPv4-mapped', '[::ffff:169.254.169.254]'],
    ['IPv4-mapped in hex', '[::ffff:a9fe:a9fe]'],
    ['IPv4-compatible', '[::169.254.169.254]'],
    ['SIIT', '[::ffff:0:169.254.169.254]'],
    ['NAT64', '[64:ff9b::a9fe:a9fe]'],
    ['local NAT64, last 32 bits', '[64:ff9b:1::a9fe:a9fe]'],
    ['local NAT64, RFC 6052 §2.2', '[64:ff9b:1:a9fe:a9:fe00::]'],
    ['6to4', '[2002:a9fe:a9fe::1]'],
    ['6to4 of a public address', '[2002:5db8:d822::1]'],
    ['Teredo', '[2001:0:4136:e378:8000:63bf:3fff:fdd2]'],
    ['ISATAP', '[2a00::5efe:169.254.169.254]'],
    ['IPv6 link-local', '[fe80::1]'],
    ['IPv6 link-local, upper end', '[febf::1]'],
    ['IPv6 site-local', '[fec0::1]'],
    ['AWS IPv6 metadata', '[fd00:ec2::254]'],
    ['Google IPv6 metadata', '[fd20:ce::254]'],
    ['Alibaba metadata', '100.100.100.200'],
    ['Azure wire server', '168.63.129.16'],
    ['Oracle metadata', '192.0.0.192'],
    ['unspecified', '0.0.0.0'],
    ['unspecified, short', '0'],
    ['this network', '0.1.2.3'],
    ['IPv6 unspecified', '[::]'],
    ['mapped unspecified', '[::ffff:0.0.0.0]'],
    ['multicast', '224.0.0.1'],
    ['multicast, upper end', '239.255.255.250'],
    ['IPv6 multicast', '[ff02::1]'],
    ['broadcast', '255.255.255.255'],
    ['metadata by name', 'metadata.google.internal'],
    ['metadata by name, upper case and dot', 'Metadata.Google.Internal.'],
    ['metadata by name, Tencent', 'metadata.tencentyun.com'],
  ])('%s: %s', async (_name, host) => {
    expect(refused(() => open().checkUrl(`http://${host}/mcp`, 'url'))).toMatch(/^url: .*never connects there/)
    expect(refused(() => open().checkUrl(`https://${host}:8443/mcp`))).toMatch(/never connects there/)
  })

  test.each([
    '169.254.169.254',
    '::ffff:169.254.169.254',
    'fe80::1%eth0',
    'fd00:ec2::254',
    '0.0.0.0',
    '64:ff9b::a9fe:a9fe',
  ])('a name that resolves to %s', async (address) => {
    const rules = {
      allow: ['0.0.0.0/0', '::/0', 'mcp.example.com'],
      resolve: async () => [{ address, family: 4 as const }],
    }
    expect(await refusedLater(policy(rules).checkedLookup('mcp.example.com', 443))).toMatch(/never connects there/)
    expect(await refusedLater(policy(rules).checkUrlAddresses('https://mcp.example.com/', 'url'))).toMatch(
      /^url: mcp\.example\.com/,
    )
  })

  test.each(['2852039166', '0xa9fea9fe', '0251.0376.0251.0376', 'fe80::1%eth0', '::ffff:169.254.169.254'])(
    'a bare host that the system resolver would understand: %s',
    (host) => {
      expect(refused(() => open().checkHost(host, 5432, 'database.host'))).toMatch(/^database\.host: .*never connects/)
    },
  )
})

describe('our own ports', () => {
  const ownAddress = Object.values(networkInterfaces())
    .flatMap((entries) => entries ?? [])
    .find((entry) => entry.family === 'IPv4' && !entry.internal)?.address

  test.each([
    '127.0.0.1',
    '127.8.9.10',
    '[::1]',
    '[::ffff:127.0.0.1]',
    '2130706433',
    '0x7f.1',
    '017700000001',
    'localhost',
    'localhost.',
    'API.localhost',
    ...(ownAddress === undefined ? [] : [ownAddress]),
  ])('are refused on %s, even if allowed', (host) => {
    const own = policy({ allow: ['0.0.0.0/0', '::/0', 'localhost', '*.localhost'] })
    expect(refused(() => own.checkUrl(`http://${host}:${OWN_PORT}/`))).toMatch(
      /port 7233 on .* belongs to Toolferry itself/,
    )
    expect(refused(() => own.checkUrl(`http://${host}:7234/`))).toBeNull()
  })

  test('are refused behind a name', async () => {
    const own = policy({ resolve: async () => [{ address: '127.0.0.1', family: 4 }] })
    expect(await refusedLater(own.checkedLookup('innocent.example', OWN_PORT))).toMatch(/Toolferry itself/)
    expect(await own.checkedLookup('innocent.example', 8000)).toEqual({ address: '127.0.0.1', family: 4 })
  })

  test('are a live set, default ports of the scheme included', () => {
    const ownPorts = new Set<number>()
    const own = policy({ ownPorts })
    expect(refused(() => own.checkUrl('http://127.0.0.1/'))).toBeNull()
    ownPorts.add(80)
    expect(refused(() => own.checkUrl('http://127.0.0.1/'))).toMatch(/port 80 /)
    expect(refused(() => own.checkUrl('https://127.0.0.1/'))).toBeNull()
  })

  test('are those of somebody else on another machine', () => {
    expect(refused(() => policy().checkUrl(`http://10.99.0.1:${OWN_PORT}/`))).toBeNull()
  })

  test('own endpoints elsewhere are refused by their name and by any other name for them', async () => {
    const addresses: Record<string, string> = {
      mysql: '10.0.0.7',
      'alias.example': '10.0.0.7',
      'other.example': '10.0.0.8',
    }
    const own = policy({
      ownEndpoints: new Set(['mysql:3306', '10.0.0.9:7233']),
      resolve: async (host) => [{ address: addresses[host] ?? '192.0.2.1', family: 4 }],
    })
    expect(refused(() => own.checkHost('MySQL', 3306))).toMatch(/Toolferry itself/)
    expect(refused(() => own.checkHost('10.0.0.9', 7233))).toMatch(/Toolferry itself/)
    expect(await refusedLater(own.checkedLookup('alias.example', 3306))).toMatch(/Toolferry itself/)
    expect(await refusedLater(own.checkedLookup('10.0.0.7', 3306))).toMatch(/Toolferry itself/)
    expect(await refusedLater(own.checkedLookup('other.example', 3306))).toBeNull()
    expect(await refusedLater(own.checkedLookup('alias.example', 3307))).toBeNull()
  })

  test('on the ports of web servers only their name counts: behind one address are many', async () => {
    const own = policy({
      ownEndpoints: new Set(['temporal.example:443']),
      resolve: async () => [{ address: '10.0.0.7', family: 4 }],
    })
    expect(await refusedLater(own.checkedLookup('temporal.example', 443))).toMatch(/Toolferry itself/)
    expect(await refusedLater(own.checkedLookup('mcp.example', 443))).toBeNull()
  })

  test('the gateway under the URL that platforms call is refused, what a proxy serves beside it is not', () => {
    const own = policy({ ownGatewayUrls: ['https://Mcp.example/tools', 'https://bare.example:8443'] })
    const id = '01900000-0000-7000-8000-000000000000'
    for (const url of [
      `https://mcp.example/tools/mcp-gateway/${id}/mcp`,
      `https://MCP.example.:443/tools/mcp-gateway/${id}/sse?x=1`,
      `https://bare.example:8443/a/../mcp-gateway/${id}/mcp`,
    ]) {
      expect(refused(() => own.checkUrl(url))).toMatch(/own gateway, which would call itself/)
    }
    for (const url of [
      'https://mcp.example/weather/mcp',
      `https://mcp.example:8443/tools/mcp-gateway/${id}/mcp`,
      `https://another.example/mcp-gateway/${id}/mcp`,
    ]) {
      expect(refused(() => own.checkUrl(url))).toBeNull()
    }
    expect(
      refused(() =>
        own.forOwnGateway('https://mcp.example').checkUrl(`https://mcp.example/tools/mcp-gateway/${id}/mcp`),
      ),
    ).toBeNull()
  })

  test('only the exception for our own gateway reaches them, and it reaches nothing else', async () => {
    const gateway = policy({ deny: ['127.0.0.0/8'], loopbackAllowed: false }).forOwnGateway(
      `http://127.0.0.1:${OWN_PORT}`,
    )
    expect(refused(() => gateway.checkUrl(`http://127.0.0.1:${OWN_PORT}/mcp-gateway/x/mcp`))).toBeNull()
    expect(await gateway.checkedLookup('127.0.0.1', OWN_PORT)).toEqual({ address: '127.0.0.1', family: 4 })
    expect(refused(() => gateway.checkUrl('http://127.0.0.1:7234/'))).toMatch(/not the gateway's address/)
    expect(refused(() => gateway.checkUrl('https://mcp.example.com/'))).toMatch(/not the gateway's address/)
  })

  test('the exception does not reach metadata either', async () => {
    const gateway = policy({ resolve: async () => [{ address: '169.254.169.254', family: 4 }] }).forOwnGateway(
      'http://gateway:8080',
    )
    expect(await refusedLater(gateway.checkedLookup('gateway', 8080))).toMatch(/never connects/)
  })
})

describe('loopback', () => {
  const hosts = ['127.0.0.1', '[::1]', 'localhost', 'x.localhost', '[::ffff:127.0.0.1]', '0x7f000001', '0177.0.0.1']
  test.each(hosts)('%s is allowed only while we listen on loopback', (host) => {
    expect(refused(() => policy().checkUrl(`http://${host}:9000/`))).toBeNull()
    expect(refused(() => policy({ loopbackAllowed: false }).checkUrl(`http://${host}:9000/`))).toMatch(
      /is this machine/,
    )
  })

  test('an allow entry opens it', async () => {
    const opened = policy({ loopbackAllowed: false, allow: ['127.0.0.0/8'] })
    expect(refused(() => opened.checkUrl('http://127.0.0.1:9000/'))).toBeNull()
    expect(refused(() => opened.checkUrl('http://[::ffff:127.0.0.1]:9000/'))).toBeNull()
    expect(refused(() => opened.checkUrl('http://[::1]:9000/'))).toMatch(/is this machine/)
    expect((await opened.checkedLookup('localhost', 9000)).address).toBe('127.0.0.1')
  })

  test('so does *', async () => {
    const opened = policy({ loopbackAllowed: false, allow: ['*'] })
    expect((await opened.checkedLookup('localhost', 9000)).address).toMatch(/^(127\.0\.0\.1|::1)$/)
  })

  test('behind a name it is found at connect', async () => {
    const rules = { loopbackAllowed: false, resolve: async () => [{ address: '127.0.0.1', family: 4 as const }] }
    expect(await refusedLater(policy(rules).checkedLookup('mcp.example.com', 80))).toMatch(
      /mcp\.example\.com \(127\.0\.0\.1\) is this machine/,
    )
    expect(
      await refusedLater(policy({ ...rules, allow: ['mcp.example.com'] }).checkedLookup('mcp.example.com', 80)),
    ).toBeNull()
  })
})

describe('allow and deny', () => {
  test.each([
    '10.1.2.3',
    '172.16.0.1',
    '192.168.1.1',
    '100.64.0.1',
    '[fd12::1]',
    '93.184.216.34',
    '[2606:2800:220:1::1]',
    '[64:ff9b::5db8:d822]',
    'mcp.example.com',
  ])('%s is allowed unless denied', (host) => {
    expect(refused(() => policy().checkUrl(`http://${host}/`))).toBeNull()
  })

  test.each(['192.0.2.1', '198.18.0.1', '203.0.113.9', '240.0.0.1', '[2001:db8::1]', '[5f00::1]'])(
    '%s has a special purpose',
    (host) => {
      expect(refused(() => policy().checkUrl(`http://${host}/`))).toMatch(/special purposes/)
      expect(refused(() => policy({ allow: [host.replace(/[[\]]/g, '')] }).checkUrl(`http://${host}/`))).toBeNull()
    },
  )

  test.each([
    ['10.0.0.0/8', '10.1.2.3'],
    ['10.0.0.0/8', '[::ffff:10.1.2.3]'],
    ['10.0.0.0/8', '[64:ff9b::a01:203]'],
    ['::ffff:10.0.0.0/104', '10.1.2.3'],
    ['10.1.2.3', '10.1.2.3'],
    ['fd00::/8', '[fd12::1]'],
    ['*.internal', 'db.corp.internal'],
    ['*.internal', 'DB.Internal.'],
    ['mcp.example.com', 'mcp.example.com'],
    ['MCP.example.com.', 'mcp.EXAMPLE.com'],
    ['xn--bcher-kva.example', 'bücher.example'],
  ])('deny %s refuses %s, and wins over allow', (entry, host) => {
    const both = policy({ deny: [entry], allow: [entry, '0.0.0.0/0', '::/0'] })
    expect(refused(() => both.checkUrl(`http://${host}/`))).toMatch(/denied by TOOLFERRY_EGRESS_DENY/)
  })

  test.each([
    ['*.internal', 'internal'],
    ['*.internal', 'myinternal'],
    ['*.internal', 'internal.example.com'],
    ['mcp.example.com', 'a.mcp.example.com'],
    ['10.0.0.0/8', '11.0.0.1'],
  ])('deny %s leaves %s alone', (entry, host) => {
    expect(refused(() => policy({ deny: [entry] }).checkUrl(`http://${host}/`))).toBeNull()
  })

  test('deny * leaves only what is allowed', async () => {
    const closed = policy({
      deny: ['*'],
      allow: ['10.0.0.0/8', '*.example.com'],
      resolve: async (host) => [{ address: host === 'in.test' ? '10.0.0.1' : '93.184.216.34', family: 4 }],
    })
    expect(await refusedLater(closed.checkedLookup('10.1.1.1', 80))).toBeNull()
    expect(await refusedLater(closed.checkedLookup('in.test', 80))).toBeNull()
    expect(await refusedLater(closed.checkedLookup('mcp.example.com', 80))).toBeNull()
    expect(await refusedLater(closed.checkedLookup('out.test', 80))).toMatch(/not in TOOLFERRY_EGRESS_ALLOW/)
    expect(await refusedLater(closed.checkedLookup('192.168.1.1', 80))).toMatch(/not in TOOLFERRY_EGRESS_ALLOW/)
  })

  test('a denied address behind a name is found at connect; the other addresses stay usable', async () => {
    const mixed = policy({
      deny: ['::/0'],
      resolve: async () => [
        { address: '2606:2800:220:1::1', family: 6 },
        { address: '169.254.169.254', family: 4 },
        { address: '93.184.216.34', family: 4 },
      ],
    })
    expect(await mixed.checkedLookupAll('mcp.example.com', 443)).toEqual([{ address: '93.184.216.34', family: 4 }])
  })

  test.each(['10.0.0.0/33', 'http://x', 'a b', '10.0.0', '*.', '*internal', 'x/y'])(
    'an entry that cannot be read is refused: %s',
    (entry) => {
      expect(() => policy({ deny: [entry] })).toThrow(/TOOLFERRY_EGRESS_DENY: “/)
    },
  )
})

describe('URLs', () => {
  test.each([
    ['ftp://mcp.example.com/', /only http: and https:/],
    ['file:///etc/passwd', /only http: and https:/],
    ['mcp.example.com/mcp', /not a URL|only http/],
    ['', /not a URL/],
    ['http://', /not a URL/],
    ['http://user:hush-1@mcp.example.com/', /user name or password.*header/],
    ['http://hush-1@mcp.example.com/', /user name or password/],
    ['https://mcp.example.com/mcp#part', /fragment/],
    ['https://mcp.example.com/mcp#', /fragment/],
    [' https://mcp.example.com/', /spaces or control/],
    ['https://mcp.exa\nmple.com/', /spaces or control/],
    ['http://1.2.3.4.5/', /not a URL/],
    ['http://256.1.1.1/', /not a URL/],
    ['http://[fe80::1%25eth0]/', /not a URL/],
    ['http://mcp.example.com:0/', /port 0/],
  ])('%j is refused', (url, message) => {
    const text = refused(() => policy().checkUrl(url, 'instance.url'))
    expect(text).toMatch(message)
    expect(text).toMatch(/^instance\.url: /)
    expect(text).not.toContain('hush-1')
  })

  test('come back in the form that is called, with path and query', () => {
    expect(policy().checkUrl('HTTP://0x0A.1:8080/mcp?x=1').href).toBe('http://10.0.0.1:8080/mcp?x=1')
    expect(policy().checkUrl('https://Bücher.example/').hostname).toBe('xn--bcher-kva.example')
  })

  test('a query never stands in a message', () => {
    expect(refused(() => policy().checkUrl('http://169.254.169.254/?key=hush-1'))).not.toContain('hush-1')
  })

  test('a name that does not resolve yet can be saved, not connected to', async () => {
    const none = policy({ resolve: () => Promise.reject(Object.assign(new Error('no'), { code: 'ENOTFOUND' })) })
    expect((await none.checkUrlAddresses('https://soon.example/')).hostname).toBe('soon.example')
    await expect(none.checkedLookup('soon.example', 443)).rejects.toMatchObject({ code: 'ENOTFOUND' })
  })
})

describe('bare hosts', () => {
  test.each([
    '',
    '/var/run/postgresql',
    'db:5432',
    'user@db',
    'http://db',
    'a b',
    'db?x',
    'db#x',
    '..\\x',
    '%6c',
    '[::1',
    '1.2.3.999',
  ])('%j is refused', (host) => {
    expect(refused(() => policy().checkHost(host, 5432, 'database.host'))).toMatch(
      /^database\.host: it is not a host name/,
    )
  })

  test.each([
    ['DB.Example.com', 'db.example.com'],
    ['db_1', 'db_1'],
    ['10.0.0.5', '10.0.0.5'],
    ['0x0a.5', '10.0.0.5'],
    ['FD12::1', 'fd12::1'],
    ['[fd12::1]', 'fd12::1'],
  ])('%s is %s', (host, plain) => {
    expect(policy().checkHost(host, 5432)).toBe(plain)
  })

  test.each([0, -1, 65536, 1.5, Number.NaN])('port %d is refused', (port) => {
    expect(refused(() => policy().checkHost('db', port))).toMatch(/port/)
  })
})
