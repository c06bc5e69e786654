/** What the planner compares: an object as it should be, as it is, and what stands in its way. Pure data. */

/** Dify: id = tool_mcp_providers.id, key = server_identifier. COZE: id = plugin id, key = null. */
export type RemoteIdentity = { id: string; key: string | null }

/**
 * `fields`: one plaintext string per field of the object, exactly comparable between two moments. Fields are an adapter's own
 * words (Dify: name, url, authorization, tools, authed, icon).
 */
export type NormalisedObject = {
  fields: Record<string, string>
  /** Fields that are secrets: shown as changed, never with a value. */
  secretFields: string[]
  /** Fields that are set at creation and repaired when broken, but otherwise belong to the platform's users (a hand-edited name, icon, timeout). */
  keptFields: string[]
  /** Tool name → a digest of its definition, for showing which tools change. */
  tools: Record<string, string>
  /** What was changed on the way, for people ("tool «x y» left out: its name …"). */
  warnings: string[]
}

export type ObservedObject = {
  identity: RemoteIdentity
  /**
   * Field → the column as stored (ciphertext included), one comparable string each. The same keys as NormalisedObject.fields,
   * and possibly more that tell that a rewrite is due (Dify: `key`, the digest of the workspace's public key).
   */
  stored: Record<string, string>
  /** Field → what can be shown to a person; never a secret. */
  shown: Record<string, string>
  tools: Record<string, string>
  /** Fields whose stored value would break the platform (an empty icon): to be repaired even if kept. */
  brokenFields: string[]
}

export type ForeignObject = { remoteId: string; name: string; because: 'url' | 'identifier' | 'name'; message: string }
