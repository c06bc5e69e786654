/**
 * The one place where the product's errors are defined: their type names (as they stand in Temporal's Web UI), whether a
 * retry can help, the HTTP status, and a hint for a person. A message never holds a secret, an upstream's body or a URL
 * with a query: it ends in the store, the API and Temporal's history.
 */

export type ErrorType =
  | 'CredentialExpired'
  | 'CredentialRefused'
  | 'HumanVerificationNeeded'
  | 'Forbidden'
  | 'TargetGone'
  | 'Conflict'
  | 'InvalidDesiredState'
  | 'UnsupportedVersion'
  | 'UpstreamUnreachable'
  | 'UpstreamUnauthorized'
  | 'GatewayUnreachable'
  | 'RateLimited'
  | 'Unavailable'
  | 'Timeout'
  | 'SpaceBusy'
  | 'RunLost'
  | 'Bug'

export type ErrorFacts = {
  /** Another attempt with nothing changed may succeed. */
  retryable: boolean
  /** The run waits for a new credential instead of failing. */
  waitsForCredential: boolean
  httpStatus: number
  hint: { en: string; zh: string }
}

export const ERROR_FACTS: Record<ErrorType, ErrorFacts> = {
  CredentialExpired: {
    retryable: false,
    waitsForCredential: true,
    httpStatus: 409,
    hint: {
      en: 'The platform credential has expired. Give a new one under the platform; waiting runs continue by themselves.',
      zh: '平台凭据已过期。请在该平台上更新凭据，等待中的运行会自动继续。',
    },
  },
  CredentialRefused: {
    retryable: false,
    waitsForCredential: true,
    httpStatus: 409,
    hint: {
      en: 'The platform refused the credential. Check user and password (or paste the cookie again) and save; waiting runs continue by themselves.',
      zh: '平台拒绝了该凭据。请检查用户名和密码（或重新粘贴 Cookie）并保存，等待中的运行会自动继续。',
    },
  },
  HumanVerificationNeeded: {
    retryable: false,
    waitsForCredential: true,
    httpStatus: 409,
    hint: {
      en: 'The platform asks for a human check. Sign in with a browser, pass it, then paste the new cookie.',
      zh: '平台要求人工验证。请用浏览器登录并完成验证，然后粘贴新的 Cookie。',
    },
  },
  Forbidden: {
    retryable: false,
    waitsForCredential: false,
    httpStatus: 403,
    hint: {
      en: 'The account may not do this. Grant the privileges named in the message, or use another account.',
      zh: '该账号没有此权限。请授予消息中列出的权限，或换一个账号。',
    },
  },
  TargetGone: {
    retryable: false,
    waitsForCredential: false,
    httpStatus: 404,
    hint: {
      en: 'The workspace or object no longer exists on the platform. Refresh the platform’s spaces and sync again.',
      zh: '平台上已不存在该工作空间或对象。请刷新空间列表后重新同步。',
    },
  },
  Conflict: {
    retryable: false,
    waitsForCredential: false,
    httpStatus: 409,
    hint: {
      en: 'An object that Toolferry did not make is in the way. Remove or rename it there, or adopt it, then retry.',
      zh: '有一个不是由 Toolferry 创建的对象占用了位置。请在平台上删除或改名，或将其接管，然后重试。',
    },
  },
  InvalidDesiredState: {
    retryable: false,
    waitsForCredential: false,
    httpStatus: 422,
    hint: {
      en: 'The platform cannot take what was asked for. Change the field named in the message, then retry.',
      zh: '平台无法接受该配置。请修改消息中指出的字段，然后重试。',
    },
  },
  UnsupportedVersion: {
    retryable: false,
    waitsForCredential: false,
    httpStatus: 422,
    hint: {
      en: 'This version of the platform cannot do it. The message names the version that can.',
      zh: '该平台版本不支持此操作。消息中给出了支持的版本。',
    },
  },
  UpstreamUnreachable: {
    retryable: true,
    waitsForCredential: false,
    httpStatus: 502,
    hint: {
      en: 'The MCP server could not be reached. Check that it runs, and its URL and transport.',
      zh: '无法连接 MCP 服务器。请检查其是否运行，以及 URL 和传输方式。',
    },
  },
  UpstreamUnauthorized: {
    retryable: false,
    waitsForCredential: false,
    httpStatus: 502,
    hint: {
      en: 'The MCP server refused the headers it was given. Correct the instance’s headers or the pass-through headers.',
      zh: 'MCP 服务器拒绝了请求头。请修正实例的请求头或透传请求头。',
    },
  },
  GatewayUnreachable: {
    retryable: true,
    waitsForCredential: false,
    httpStatus: 502,
    hint: {
      en: 'The gateway did not answer. Check that the gateway role runs and that TOOLFERRY_GATEWAY_URL is right.',
      zh: '网关没有响应。请检查网关是否运行，以及 TOOLFERRY_GATEWAY_URL 是否正确。',
    },
  },
  RateLimited: {
    retryable: true,
    waitsForCredential: false,
    httpStatus: 429,
    hint: {
      en: 'The platform asks to slow down. It is tried again by itself.',
      zh: '平台要求降低频率，系统会自动重试。',
    },
  },
  Unavailable: {
    retryable: true,
    waitsForCredential: false,
    httpStatus: 503,
    hint: {
      en: 'The platform is not answering. It is tried again by itself; check the host and port if this lasts.',
      zh: '平台暂时无响应，系统会自动重试。若持续出现，请检查主机和端口。',
    },
  },
  Timeout: {
    retryable: true,
    waitsForCredential: false,
    httpStatus: 504,
    hint: { en: 'The call took too long. It is tried again by itself.', zh: '调用超时，系统会自动重试。' },
  },
  SpaceBusy: {
    retryable: true,
    waitsForCredential: false,
    httpStatus: 409,
    hint: {
      en: 'Another run is writing to this space. It is tried again by itself.',
      zh: '另一个运行正在写入该空间，系统会自动重试。',
    },
  },
  RunLost: {
    retryable: false,
    waitsForCredential: false,
    httpStatus: 409,
    hint: {
      en: 'The run was ended by hand in Temporal, or its history was lost. What it had finished stands; start it again to do the rest.',
      zh: '该运行在 Temporal 中被手动终止或其历史已丢失。已完成的部分有效，请重新启动以完成其余部分。',
    },
  },
  Bug: {
    retryable: false,
    waitsForCredential: false,
    httpStatus: 500,
    hint: {
      en: 'This should not happen. Please report it with the run’s id and the time.',
      zh: '这不应发生。请附上运行编号和时间反馈给我们。',
    },
  },
}

/**
 * An expected failure with one of the product's types. `message` is for people and safe to store and show.
 * `retryAfterMs` is the platform's own wish (Retry-After). `field` names the input field to correct.
 */
export class ToolferryError extends Error {
  override readonly name = 'ToolferryError'
  readonly type: ErrorType
  readonly retryAfterMs: number | undefined
  readonly field: string | undefined

  constructor(
    type: ErrorType,
    message: string,
    options: { cause?: unknown; retryAfterMs?: number; field?: string } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.type = type
    this.retryAfterMs = options.retryAfterMs
    this.field = options.field
  }

  get facts(): ErrorFacts {
    return ERROR_FACTS[this.type]
  }
}

/** Any thrown thing as an error of ours; what is not expected is a `Bug` and keeps its cause, not its text. */
export function toToolferryError(thrown: unknown): ToolferryError {
  if (thrown instanceof ToolferryError) return thrown
  return new ToolferryError('Bug', 'An unexpected error happened; the process log has its details.', { cause: thrown })
}
