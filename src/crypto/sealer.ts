import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import type { Keyring } from './keyring.ts'

/** Where a sealed value stands: it opens nowhere else. */
export type SealedPlace = { table: string; column: string; rowId: string }

export type Sealer = {
  /** Of the key that seals. */
  keyId: string
  /** `v1:<key id>:<base64 of iv, ciphertext, tag>` */
  seal(place: SealedPlace, plaintext: string): string
  /** Throws SealError for another place, a changed text or an unknown key. */
  open(place: SealedPlace, sealed: string): string
  /** True when it was sealed with a retired key. */
  isStale(sealed: string): boolean
}

/** `reason` tells an unknown key from a text that was changed or moved. The message holds no plaintext and no key. */
export class SealError extends Error {
  override readonly name = 'SealError'
  readonly reason: 'format' | 'unknown_key' | 'not_authentic'

  constructor(reason: 'format' | 'unknown_key' | 'not_authentic', message: string) {
    super(message)
    this.reason = reason
  }
}

const IV_BYTES = 12
const TAG_BYTES = 16

/** AES-256-GCM; table, column, row id and key id are the associated data. */
export function createSealer(keyring: Keyring): Sealer {
  return {
    keyId: keyring.current.id,
    seal(place, plaintext) {
      const { id, key } = keyring.current
      const iv = randomBytes(IV_BYTES)
      const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(associated(place, id))
      const sealed = Buffer.concat([iv, cipher.update(plaintext, 'utf8'), cipher.final(), cipher.getAuthTag()])
      return `v1:${id}:${sealed.toString('base64')}`
    },
    open(place, sealed) {
      const [version, id, body, ...rest] = sealed.split(':')
      const bytes = Buffer.from(body ?? '', 'base64')
      if (version !== 'v1' || id === undefined || rest.length > 0 || bytes.length < IV_BYTES + TAG_BYTES) {
        throw new SealError('format', `${place.table}.${place.column} holds no sealed value.`)
      }
      const key = keyring.find(id)
      if (key === null) {
        throw new SealError(
          'unknown_key',
          `${place.table}.${place.column} was sealed with key ${id}, which is not given.`,
        )
      }
      const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES })
      decipher.setAAD(associated(place, id)).setAuthTag(bytes.subarray(-TAG_BYTES))
      try {
        return decipher.update(bytes.subarray(IV_BYTES, -TAG_BYTES), undefined, 'utf8') + decipher.final('utf8')
      } catch {
        throw new SealError(
          'not_authentic',
          `The sealed ${place.table}.${place.column} of row ${place.rowId} was changed or belongs to another row.`,
        )
      }
    },
    isStale: (sealed) => sealed.split(':')[1] !== keyring.current.id,
  }
}

function associated(place: SealedPlace, keyId: string): Buffer {
  return Buffer.from(`${place.table}|${place.column}|${place.rowId}|${keyId}`, 'utf8')
}
