import { createHmac, randomBytes } from 'node:crypto'

/**
 * Signing secrets and signatures as Standard Webhooks has them (github.com/standard-webhooks/standard-webhooks,
 * spec/standard-webhooks.md): `whsec_` + base64 of 24 to 64 bytes; HMAC-SHA-256 over `<id>.<timestamp>.<body>`.
 */

const PREFIX = 'whsec_'
const SECRET_BYTES = 32

export function newSigningSecret(): string {
  return `${PREFIX}${randomBytes(SECRET_BYTES).toString('base64')}`
}

/** The three headers of a message. One signature for each secret, so that a receiver may know either. `timestampS`: Unix time, s. */
export function signatureHeaders(
  secrets: readonly string[],
  message: { id: string; timestampS: number; body: string },
): Record<string, string> {
  const { id, timestampS, body } = message
  const signatures = secrets.map((secret) => {
    const key = Buffer.from(secret.slice(PREFIX.length), 'base64')
    return `v1,${createHmac('sha256', key).update(`${id}.${timestampS}.${body}`).digest('base64')}`
  })
  return {
    'webhook-id': id,
    'webhook-timestamp': String(timestampS),
    'webhook-signature': signatures.join(' '),
  }
}

/** Feishu's custom bot: time and secret are the HMAC's key, and nothing is signed. `timestampS`: Unix time, s. */
export function feishuSign(secret: string, timestampS: number): string {
  return createHmac('sha256', `${timestampS}\n${secret}`).update('').digest('base64')
}

/** DingTalk's custom robot: time and secret are signed with the secret. `timestampMs`: Unix time, ms. */
export function dingtalkSign(secret: string, timestampMs: number): string {
  return createHmac('sha256', secret).update(`${timestampMs}\n${secret}`).digest('base64')
}
