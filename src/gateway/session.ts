import { createCipheriv, createDecipheriv, createHmac, hkdfSync } from 'node:crypto'

/** What a sealed text stands for: an upstream's session id, or the path of an upstream's HTTP+SSE endpoint. */
export type SealPurpose = 'session' | 'endpoint'

/**
 * Seals what an upstream gave to one subject (binding, manual token, anonymous callers) of one instance, so that it is worth
 * nothing to any other. Nothing is stored: every replica with the same key opens what another has sealed.
 */
export type SubjectSeal = {
  /** URL-safe and header-safe; the same input gives the same text, as clients keep comparing session ids. */
  seal(purpose: SealPurpose, instanceId: string, subject: string, text: string): string
  /** null: not sealed by this key for this purpose, instance and subject. */
  open(purpose: SealPurpose, instanceId: string, subject: string, sealed: string): string | null
}

const NONCE_BYTES = 12
const TAG_BYTES = 16
const SEALED = /^[A-Za-z0-9_-]{39,8192}$/

/** AES-256-GCM with the subject as associated data and a nonce derived from the content (so equal content, equal text). `key`: 32 bytes or more. */
export function createSubjectSeal(key: Buffer): SubjectSeal {
  if (key.length < 32) throw new RangeError('The sealing key must have 32 bytes or more.')
  const sealKey = Buffer.from(hkdfSync('sha256', key, '', 'toolferry gateway seal', 32))
  const nonceKey = Buffer.from(hkdfSync('sha256', key, '', 'toolferry gateway nonce', 32))
  return {
    seal(purpose, instanceId, subject, text) {
      const bound = boundTo(purpose, instanceId, subject)
      const nonce = createHmac('sha256', nonceKey)
        .update(bound)
        .update('\0')
        .update(text)
        .digest()
        .subarray(0, NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', sealKey, nonce).setAAD(bound)
      const sealed = Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final()])
      return Buffer.concat([sealed, cipher.getAuthTag()]).toString('base64url')
    },
    open(purpose, instanceId, subject, sealed) {
      if (!SEALED.test(sealed)) return null
      const blob = Buffer.from(sealed, 'base64url')
      if (blob.length < NONCE_BYTES + TAG_BYTES || blob.toString('base64url') !== sealed) return null
      const decipher = createDecipheriv('aes-256-gcm', sealKey, blob.subarray(0, NONCE_BYTES), {
        authTagLength: TAG_BYTES,
      })
        .setAAD(boundTo(purpose, instanceId, subject))
        .setAuthTag(blob.subarray(blob.length - TAG_BYTES))
      try {
        const text = decipher.update(blob.subarray(NONCE_BYTES, blob.length - TAG_BYTES), undefined, 'utf8')
        return text + decipher.final('utf8')
      } catch {
        return null
      }
    },
  }
}

function boundTo(purpose: SealPurpose, instanceId: string, subject: string): Buffer {
  return Buffer.from(`${purpose}|${instanceId}|${subject}`)
}
