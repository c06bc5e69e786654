import type { LookupFunction, OnReadOpts } from 'node:net'
import { Agent, buildConnector } from 'undici'
import { parseAddress } from './address.ts'
import type { EgressPolicy } from './policy.ts'

/** undici's connect options (`timeout` in ms, `ca`, `rejectUnauthorized` …) without those that would go round the check. */
export type ConnectorOptions = Omit<buildConnector.BuildOptions, 'lookup' | 'socketPath' | 'path' | 'host' | 'port'> & {
  onread?: OnReadOpts
}

export type EgressAgentOptions = Omit<Agent.Options, 'connect' | 'factory'> & { connect?: ConnectorOptions }

/**
 * A connector that asks the policy at every new connection. The lookup that is checked is the lookup that the socket uses, so
 * a name that changes its address in between (DNS rebinding) changes nothing. The refusal arrives as the connect error.
 */
export function buildCheckedConnector(policy: EgressPolicy, options: ConnectorOptions = {}): buildConnector.connector {
  // One connector a port: a lookup function is not told the port, and the policy needs it.
  const byPort = new Map<number, buildConnector.connector>()
  const connectorFor = (port: number): buildConnector.connector => {
    const known = byPort.get(port)
    if (known !== undefined) return known
    const made = buildConnector({
      ...options,
      lookup: checkedLookupFunction(policy, port),
    } as buildConnector.BuildOptions)
    byPort.set(port, made)
    return made
  }
  return (target, callback) => {
    const port = target.port === '' ? (target.protocol === 'https:' ? 443 : 80) : Number(target.port)
    if (parseAddress(target.hostname) === null) return connectorFor(port)(target, callback)
    // A socket looks up names only; a literal address is judged here.
    policy.checkedLookupAll(target.hostname, port, 'url').then(
      () => connectorFor(port)(target, callback),
      (error: Error) => callback(error, null),
    )
  }
}

/**
 * An undici Agent that connects only where the policy allows. Redirects are not followed (undici follows none by itself).
 * Close or destroy it after use.
 */
export function createEgressAgent(policy: EgressPolicy, options: EgressAgentOptions = {}): Agent {
  const { connect, ...rest } = options
  return new Agent({ ...rest, connect: policy.connector(connect) })
}

function checkedLookupFunction(policy: EgressPolicy, port: number): LookupFunction {
  return (hostname, options, callback) => {
    policy.checkedLookupAll(hostname, port, 'url').then(
      (addresses) => {
        const fitting = addresses.filter(({ family }) => matchesFamily(options.family, family))
        const [best] = fitting
        if (best === undefined)
          callback(Object.assign(new Error('No address of the wanted family'), { code: 'ENOTFOUND' }), '', 4)
        else if (options.all) callback(null, fitting)
        else callback(null, best.address, best.family)
      },
      (error: NodeJS.ErrnoException) => callback(error, '', 4),
    )
  }
}

function matchesFamily(wanted: string | number | undefined, family: 4 | 6): boolean {
  if (wanted === 'IPv4' || wanted === 4) return family === 4
  if (wanted === 'IPv6' || wanted === 6) return family === 6
  return true
}
