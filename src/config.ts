import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { z } from 'zod'

/** The only reader of process.env. Config can be logged; secrets are a type of their own and can not. */

export type Role = 'api' | 'worker' | 'gateway' | 'all'

export type Config = {
  role: Role
  /** Where api (and in role `all` the gateway) listens. */
  host: string
  port: number
  /** The gateway's own listener, if any. */
  gatewayPort: number | null
  dataDir: string
  /** The origin that platforms call; null = http://127.0.0.1:<port as bound>. */
  publicUrl: string | null
  /** Where worker and api reach the gateway; null = its own listener. */
  gatewayUrl: string | null
  databaseUrl: string
  /** Addresses and CIDRs of the proxies before us: their X-Forwarded-For tells the client's address. */
  trustedProxies: string[]
  egressAllow: string[]
  egressDeny: string[]
  temporal: {
    /** null = the embedded server. */
    address: string | null
    namespace: string
    taskQueue: string
    /** The Web UI of the cluster at `address`, for links to runs; null = none is known. */
    uiUrl: string | null
    /** Ports of the embedded server; 0 = a free one. */
    port: number
    uiPort: number
    tls: {
      enabled: boolean
      serverName: string | null
      caPath: string | null
      certPath: string | null
      keyPath: string | null
    }
  }
  /** A worker that was not heard of for this long is given up, and another one takes over its work. */
  workerTimeoutMs: number
  /** How long the gateway serves what it knows while the store does not answer. */
  gatewayStaleMs: number
  /** How many processes role `gateway` runs on this machine, sharing its port. */
  gatewayWorkers: number
  /** How long what is over is kept. */
  retention: { syncDays: number; journalDays: number; auditDays: number }
  upkeep: UpkeepConfig
  logLevel: string
}

/** What is done on its own to keep things true. */
export type UpkeepConfig = {
  /** How long a replaced token must have gone unused before it ends. */
  tokenGraceSeconds: number
  /** Minted tokens that are older are replaced; null: none are, unless a profile says so. */
  rotateAfterDays: number | null
  /** How often MCP servers are asked whether their tools changed; 0: never. */
  watchToolsSeconds: number
  /** How long a changed tool list must have stood before a run brings it to the platforms. */
  toolsSettleSeconds: number
  /** What happens then where no profile says it. */
  onToolsChanged: 'sync' | 'report'
}

export type Secrets = {
  /** 32 bytes; null = read or make <dataDir>/master.key (SQLite only). */
  masterKey: Buffer | null
  /** Former master keys that may still open what they sealed. */
  retiredMasterKeys: Buffer[]
  /** The first admin API key; null = read or make <dataDir>/admin.key (SQLite only). */
  adminKey: string | null
  temporalApiKey: string | null
}

/** A wrong or missing setting: names the variable and what to do. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

const port = z.coerce.number().int().min(0).max(65535)
const origin = z
  .url({ protocol: /^https?$/ })
  // Paths of the gateway are put behind it, and platforms are told it.
  .regex(/^[^?#@]*$/, 'must have no user name, query or fragment')
  .transform((url) => url.replace(/\/+$/, ''))
const list = z.string().transform((text) =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== ''),
)

const proxies = list.pipe(
  z.array(
    z.union(
      [z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()],
      'must be IP addresses and CIDRs, such as 10.0.0.0/8, with commas',
    ),
  ),
)
const days = z.coerce.number().int().min(1).max(36_500)

const environment = z.object({
  TOOLFERRY_HOST: z.string().min(1).default('127.0.0.1'),
  TOOLFERRY_PORT: port.default(8080),
  TOOLFERRY_GATEWAY_PORT: port.optional(),
  TOOLFERRY_DATA_DIR: z.string().min(1).default('.toolferry'),
  TOOLFERRY_PUBLIC_URL: origin.optional(),
  TOOLFERRY_GATEWAY_URL: origin.optional(),
  TOOLFERRY_MASTER_KEY: z.string().optional(),
  // In a file they may stand one a line.
  TOOLFERRY_RETIRED_MASTER_KEYS: z
    .string()
    .transform((text) => text.split(/[\s,]+/).filter((key) => key !== ''))
    .default([]),
  // It comes back in a header, and what cannot stand there as it is would keep its admin out.
  TOOLFERRY_ADMIN_KEY: z
    .string()
    .regex(/^[\x21-\x7e]{32,512}$/, 'needs 32 to 512 characters: letters, digits and signs (ASCII), without spaces')
    .optional(),
  TOOLFERRY_TRUSTED_PROXIES: proxies.default([]),
  TOOLFERRY_EGRESS_ALLOW: list.default([]),
  TOOLFERRY_EGRESS_DENY: list.default([]),
  TOOLFERRY_TEMPORAL_PORT: port.default(7233),
  TOOLFERRY_TEMPORAL_UI_PORT: port.default(8233),
  TOOLFERRY_WORKER_TIMEOUT_SECONDS: z.coerce.number().int().min(3).max(86_400).default(30),
  TOOLFERRY_GATEWAY_STALE_SECONDS: z.coerce.number().min(1).max(86_400).default(30),
  TOOLFERRY_GATEWAY_WORKERS: z.coerce.number().int().min(1).max(256).default(1),
  TOOLFERRY_SYNC_DAYS: days.default(90),
  TOOLFERRY_JOURNAL_DAYS: days.default(30),
  TOOLFERRY_AUDIT_DAYS: days.default(365),
  TOOLFERRY_TOKEN_GRACE_SECONDS: z.coerce.number().int().min(0).max(31_536_000).default(86_400),
  TOOLFERRY_ROTATE_AFTER_DAYS: z.coerce.number().int().min(1).max(36_500).optional(),
  TOOLFERRY_WATCH_TOOLS_SECONDS: z.coerce.number().int().min(0).max(86_400).default(300),
  TOOLFERRY_TOOLS_SETTLE_SECONDS: z.coerce.number().int().min(1).max(86_400).default(120),
  TOOLFERRY_ON_TOOLS_CHANGED: z.enum(['sync', 'report']).optional(),
  TOOLFERRY_LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
  DATABASE_URL: z
    .string()
    .regex(/^(file:|mysql:\/\/)/, 'must start with file: or mysql://')
    .optional(),
  TEMPORAL_ADDRESS: z.string().min(1).optional(),
  TEMPORAL_UI_URL: origin.optional(),
  TEMPORAL_NAMESPACE: z.string().min(1).default('default'),
  TEMPORAL_TASK_QUEUE: z.string().min(1).default('toolferry'),
  TEMPORAL_API_KEY: z.string().min(1).optional(),
  TEMPORAL_TLS: z.enum(['true', 'false', '1', '0']).optional(),
  TEMPORAL_TLS_SERVER_NAME: z.string().optional(),
  TEMPORAL_TLS_SERVER_CA_CERT_PATH: z.string().optional(),
  TEMPORAL_TLS_CLIENT_CERT_PATH: z.string().optional(),
  TEMPORAL_TLS_CLIENT_KEY_PATH: z.string().optional(),
})

/** Every variable that readConfig knows; .env.example documents them. */
export const ENVIRONMENT_VARIABLES: readonly string[] = Object.keys(environment.shape)

/** Those that hold a secret: each may name a file instead, as <NAME>_FILE, so that it stands in no environment. */
export const SECRET_VARIABLES: readonly string[] = [
  'DATABASE_URL',
  'TOOLFERRY_MASTER_KEY',
  'TOOLFERRY_RETIRED_MASTER_KEYS',
  'TOOLFERRY_ADMIN_KEY',
  'TEMPORAL_API_KEY',
]

/**
 * Reads and checks the environment, and the files that it names for secrets. Empty variables count as not set. Throws
 * ConfigError naming every wrong variable.
 */
export function readConfig(role: Role, env: NodeJS.ProcessEnv = process.env): { config: Config; secrets: Secrets } {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''))
  for (const name of SECRET_VARIABLES) {
    const file = given[`${name}_FILE`]
    if (file === undefined) continue
    if (given[name] !== undefined)
      throw new ConfigError(`${name} and ${name}_FILE are both set: one of them is enough.`)
    given[name] = readSecret(`${name}_FILE`, file)
  }
  const parsed = environment.safeParse(given)
  if (!parsed.success) {
    const wrong = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`)
    throw new ConfigError(`The environment is not usable.\n  ${wrong.join('\n  ')}`)
  }
  const e = parsed.data
  const dataDir = resolve(e.TOOLFERRY_DATA_DIR)
  const databaseUrl = e.DATABASE_URL ?? `file:${resolve(dataDir, 'toolferry.db')}`
  const masterKey =
    e.TOOLFERRY_MASTER_KEY === undefined ? null : decodeMasterKey('TOOLFERRY_MASTER_KEY', e.TOOLFERRY_MASTER_KEY)
  if (databaseUrl.startsWith('mysql://') && (masterKey === null || e.TOOLFERRY_ADMIN_KEY === undefined)) {
    throw new ConfigError(
      'A MySQL store needs TOOLFERRY_MASTER_KEY (32 bytes, base64: openssl rand -base64 32) and TOOLFERRY_ADMIN_KEY (any secret of 32 characters or more, without spaces).',
    )
  }
  const tlsPaths = [e.TEMPORAL_TLS_SERVER_CA_CERT_PATH, e.TEMPORAL_TLS_CLIENT_CERT_PATH, e.TEMPORAL_TLS_SERVER_NAME]
  return {
    config: {
      role,
      host: e.TOOLFERRY_HOST,
      port: e.TOOLFERRY_PORT,
      gatewayPort: e.TOOLFERRY_GATEWAY_PORT ?? null,
      dataDir,
      publicUrl: e.TOOLFERRY_PUBLIC_URL ?? null,
      gatewayUrl: e.TOOLFERRY_GATEWAY_URL ?? null,
      databaseUrl,
      trustedProxies: e.TOOLFERRY_TRUSTED_PROXIES,
      egressAllow: e.TOOLFERRY_EGRESS_ALLOW,
      egressDeny: e.TOOLFERRY_EGRESS_DENY,
      temporal: {
        address: e.TEMPORAL_ADDRESS ?? null,
        namespace: e.TEMPORAL_NAMESPACE,
        taskQueue: e.TEMPORAL_TASK_QUEUE,
        uiUrl: e.TEMPORAL_UI_URL ?? null,
        port: e.TOOLFERRY_TEMPORAL_PORT,
        uiPort: e.TOOLFERRY_TEMPORAL_UI_PORT,
        tls: {
          enabled:
            e.TEMPORAL_TLS === undefined
              ? e.TEMPORAL_API_KEY !== undefined || tlsPaths.some((path) => path !== undefined)
              : e.TEMPORAL_TLS === 'true' || e.TEMPORAL_TLS === '1',
          serverName: e.TEMPORAL_TLS_SERVER_NAME ?? null,
          caPath: e.TEMPORAL_TLS_SERVER_CA_CERT_PATH ?? null,
          certPath: e.TEMPORAL_TLS_CLIENT_CERT_PATH ?? null,
          keyPath: e.TEMPORAL_TLS_CLIENT_KEY_PATH ?? null,
        },
      },
      workerTimeoutMs: e.TOOLFERRY_WORKER_TIMEOUT_SECONDS * 1000,
      gatewayStaleMs: e.TOOLFERRY_GATEWAY_STALE_SECONDS * 1_000,
      gatewayWorkers: e.TOOLFERRY_GATEWAY_WORKERS,
      retention: {
        syncDays: e.TOOLFERRY_SYNC_DAYS,
        journalDays: e.TOOLFERRY_JOURNAL_DAYS,
        auditDays: e.TOOLFERRY_AUDIT_DAYS,
      },
      upkeep: {
        tokenGraceSeconds: e.TOOLFERRY_TOKEN_GRACE_SECONDS,
        rotateAfterDays: e.TOOLFERRY_ROTATE_AFTER_DAYS ?? null,
        watchToolsSeconds: e.TOOLFERRY_WATCH_TOOLS_SECONDS,
        toolsSettleSeconds: e.TOOLFERRY_TOOLS_SETTLE_SECONDS,
        onToolsChanged: e.TOOLFERRY_ON_TOOLS_CHANGED ?? 'report',
      },
      logLevel: e.TOOLFERRY_LOG_LEVEL,
    },
    secrets: {
      masterKey,
      retiredMasterKeys: e.TOOLFERRY_RETIRED_MASTER_KEYS.map((text) =>
        decodeMasterKey('TOOLFERRY_RETIRED_MASTER_KEYS', text),
      ),
      adminKey: e.TOOLFERRY_ADMIN_KEY ?? null,
      temporalApiKey: e.TEMPORAL_API_KEY ?? null,
    },
  }
}

function readSecret(variable: string, file: string): string {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch (error) {
    // Who gave the secret itself is not to read it in a log.
    const named = /^[./]/.test(file) ? file : 'the file of that name'
    throw new ConfigError(`${variable}: ${named} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'error'}).`)
  }
}

function decodeMasterKey(variable: string, text: string): Buffer {
  const key = Buffer.from(text, 'base64')
  const given = text.replace(/=+$/, '').replaceAll('-', '+').replaceAll('_', '/')
  // What is not base64 would be left out, and with it all that follows an equals sign.
  if (key.length !== 32 || key.toString('base64').replace(/=+$/, '') !== given)
    throw new ConfigError(`${variable} must be 32 bytes in base64 (openssl rand -base64 32).`)
  return key
}

/** What our child processes and the look-up of programs and caches may see of the environment: never a secret of ours. */
export type SystemEnvironment = Record<string, string>

const SYSTEM_VARIABLES =
  /^(PATH|PATHEXT|HOME|USER|LANG|TMPDIR|TMP|TEMP|XDG_CACHE_HOME|USERPROFILE|APPDATA|LOCALAPPDATA|SystemRoot|COMSPEC|SSL_CERT_FILE|SSL_CERT_DIR|CC|CGO_ENABLED|GO[A-Z0-9]*|(https?|no)_proxy)$/i

/** The part of the environment that belongs to the machine; an empty variable counts as not set. Everything else, first of all keys, stays in this process. */
export function systemEnvironment(env: NodeJS.ProcessEnv = process.env): SystemEnvironment {
  const system: SystemEnvironment = {}
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && value !== '' && SYSTEM_VARIABLES.test(name)) system[name] = value
  }
  return system
}
