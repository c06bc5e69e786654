import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { ENVIRONMENT_VARIABLES, readConfig } from '../../src/config.ts'
import { TEMPORAL_VERSION } from '../../src/temporal/version.ts'

type Service = {
  command?: string[]
  image?: string
  environment?: Record<string, string>
  ports?: string[]
  depends_on?: Record<string, { condition: string }>
  healthcheck?: object
}

const read = (file: string) => readFileSync(fileURLToPath(new URL(`../../${file}`, import.meta.url)), 'utf8')
const text = read('docker-compose.yml')
const compose = parse(text, { merge: true }) as { services: Record<string, Service>; volumes: object; configs: object }
const service = (name: string): Service => {
  const found = compose.services[name]
  if (found === undefined) throw new Error(`no service ${name}`)
  return found
}

/** As Compose would: ${NAME:?…} and ${NAME:-default}. */
function interpolate(value: string, env: Record<string, string>): string {
  return value.replace(
    /\$\{(\w+)(?::([?-])([^}]*))?\}/g,
    (_, name, kind, rest) => env[name] ?? (kind === '-' ? rest : ''),
  )
}

describe('docker-compose.yml', () => {
  it('is the production shape', () => {
    expect(Object.keys(compose.services).sort()).toEqual([
      'api',
      'gateway',
      'mysql',
      'temporal',
      'temporal-ui',
      'worker',
    ])
  })

  it.each(['api', 'worker', 'gateway'] as const)('gives the %s role an environment that it can start with', (role) => {
    const { command, environment = {} } = service(role)
    expect(command).toEqual([role])
    const given = Object.fromEntries(
      Object.entries(environment).map(([name, value]) => [
        name,
        interpolate(value, {
          MYSQL_TOOLFERRY_PASSWORD: 'abc123',
          TOOLFERRY_MASTER_KEY: Buffer.alloc(32, 7).toString('base64'),
          TOOLFERRY_ADMIN_KEY: 'k'.repeat(40),
          TOOLFERRY_PUBLIC_URL: 'https://mcp.example.com',
        }),
      ]),
    )
    const { config } = readConfig(role, given)
    expect(config).toMatchObject({
      role,
      databaseUrl: 'mysql://toolferry:abc123@mysql:3306/toolferry',
      publicUrl: 'https://mcp.example.com',
      temporal: { address: 'temporal:7233', namespace: service('temporal').environment?.DEFAULT_NAMESPACE },
    })
  })

  it('passes every setting on that it does not decide itself: what stands in .env counts', () => {
    const decided = /^(DATABASE_URL|TOOLFERRY_(HOST|PORT|GATEWAY_PORT|GATEWAY_URL|DATA_DIR|TEMPORAL_\w+)|TEMPORAL_\w+)$/
    const { environment = {} } = service('gateway')
    const lost = ENVIRONMENT_VARIABLES.filter(
      (name) => !decided.test(name) && !(environment[name] ?? '').startsWith(`\${${name}:`),
    )
    expect(lost).toEqual([])
  })

  it('publishes nothing beyond loopback, and the Web UI cannot change anything', () => {
    const ports = Object.values(compose.services).flatMap((each) => each.ports ?? [])
    expect(ports.length).toBeGreaterThan(0)
    for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/)
    expect(service('temporal-ui').environment?.TEMPORAL_DISABLE_WRITE_ACTIONS).toBe('true')
  })

  it('waits for services that have a health check', () => {
    const checked = new Set(Object.keys(compose.services).filter((name) => service(name).healthcheck !== undefined))
    // The Dockerfile has the roles' own.
    if (/^HEALTHCHECK /m.test(read('Dockerfile'))) for (const role of ['api', 'worker', 'gateway']) checked.add(role)
    for (const each of Object.values(compose.services)) {
      for (const [name, { condition }] of Object.entries(each.depends_on ?? {})) {
        expect(condition).toBe('service_healthy')
        expect(checked).toContain(name)
      }
    }
  })

  it('has no secret in it, and keeps runs as long as the embedded server', () => {
    for (const line of text.split('\n').filter((each) => /PASSWORD|_PWD|_KEY/.test(each))) expect(line).toContain('$')
    expect(service('temporal').environment?.DEFAULT_NAMESPACE_RETENTION).toBe(`${30 * 24}h`)
    expect(TEMPORAL_VERSION).toBe('1.5.1')
    // CLI 1.5.1 holds server 1.29.1: one version everywhere.
    expect(service('temporal').image).toBe('temporalio/auto-setup:1.29.1')
  })
})

describe('Dockerfile', () => {
  const dockerfile = read('Dockerfile')

  it('runs as nobody special, says when it is healthy, and starts a role by its name', () => {
    const last = dockerfile.slice(dockerfile.lastIndexOf('\nFROM '))
    expect(last).toMatch(/^USER node$/m)
    expect(last).toContain('/readyz')
    expect(last).toMatch(/^ENTRYPOINT \["node", "src\/main.ts"\]$/m)
    // What is made with the development dependencies is brought; they stay behind.
    expect(last).not.toContain('npm')
  })

  it('is made by scripts that are there', () => {
    const scripts = [...dockerfile.matchAll(/node (scripts\/[\w-]+\.ts)/g)].map(([, script = '']) => script)
    expect(scripts).toContain('scripts/bundle-workflows.ts')
    for (const script of scripts) expect(read(script)).not.toBe('')
    expect(dockerfile).toMatch(/^COPY --from=made \/app\/dist \.\/dist$/m)
  })
})
