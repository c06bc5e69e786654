import { expect, test } from 'vitest'
import { clientAddressOf, networkOf } from '../../src/audit/client-address.ts'

test.each([
  // Nobody is believed without being trusted.
  [[], '203.0.113.9', '198.51.100.1', '203.0.113.9'],
  [['10.0.0.0/8'], '203.0.113.9', '198.51.100.1', '203.0.113.9'],
  // The proxy's own entry is the last; what stands before it may be the client's invention.
  [['10.0.0.0/8'], '10.1.2.3', '198.51.100.1', '198.51.100.1'],
  [['10.0.0.0/8'], '10.1.2.3', '127.0.0.1, 198.51.100.1', '198.51.100.1'],
  [['10.0.0.0/8', '192.0.2.7'], '10.1.2.3', '6.6.6.6,198.51.100.1, 192.0.2.7', '198.51.100.1'],
  // All of them are proxies: the call began at the first.
  [['10.0.0.0/8'], '10.1.2.3', '10.9.9.9', '10.9.9.9'],
  [['10.0.0.0/8'], '10.1.2.3', '', '10.1.2.3'],
  [['10.0.0.0/8'], '10.1.2.3', 'unknown', '10.1.2.3'],
  [['10.0.0.0/8'], '::ffff:10.1.2.3', '198.51.100.1:4711', '198.51.100.1'],
  [['fd00::/8'], 'fd00::1', '[2001:db8::5]:80', '2001:db8::5'],
  [[], undefined, '198.51.100.1', 'unknown'],
])('trusting %j, a call of %s that says %j is from %4$s', (trusted, remoteAddress, forwardedFor, client) => {
  expect(clientAddressOf(trusted)({ remoteAddress, forwardedFor })).toBe(client)
})

test('one IPv6 customer is one client, whichever of his addresses he uses', () => {
  expect(networkOf('2001:db8:1:2:3:4:5:6')).toBe(networkOf('2001:db8:1:2::'))
  expect(networkOf('2001:db8:1:3::')).not.toBe(networkOf('2001:db8:1:2::'))
  expect(networkOf('192.0.2.1')).toBe('192.0.2.1')
})
