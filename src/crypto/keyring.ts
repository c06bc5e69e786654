import { hkdfSync } from 'node:crypto'

export type SealingKey = { id: string; key: Buffer }

/** The current sealing key, and the retired ones that may still open. Keys are derived: the master key seals nothing itself. */
export type Keyring = {
  current: SealingKey
  find(id: string): Buffer | null
}

/** `masterKey` and each retired one: 32 random bytes. */
export function createKeyring(masterKey: Buffer, retired: Buffer[] = []): Keyring {
  const current = sealingKey(masterKey)
  const keys = new Map([...retired.map(sealingKey), current].map((each) => [each.id, each.key]))
  return { current, find: (id) => keys.get(id) ?? null }
}

/** A key for one purpose from a secret, by HKDF-SHA-256. */
export function deriveKey(secret: Buffer, purpose: string, sizeBytes = 32): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, 'toolferry', purpose, sizeBytes))
}

function sealingKey(masterKey: Buffer): SealingKey {
  return { id: deriveKey(masterKey, 'key id', 4).toString('hex'), key: deriveKey(masterKey, 'seal') }
}
