import type { ErrorType } from '../domain/errors.ts'
import { ERROR_FACTS, ToolferryError } from '../domain/errors.ts'
import type { Platform, PlatformCheck, PlatformKind } from '../platforms/platform.ts'
import { type CredentialState, openCredential, type PlatformRecord, setCredentialState } from '../store/platforms.ts'
import { type SpacesRefreshed, upsertSpaces } from '../store/spaces.ts'
import type { ApiDeps, PlatformTarget } from './deps.ts'
import { savedDraft, secretField, targetOf } from './platform-kinds.ts'
import { ApiProblem } from './problem.ts'

/** What the API asks a platform itself: is it right, which spaces has it. */

/** COZE is asked at its own pace, organization by organization. */
const CALL_TIMEOUT_MS = { dify: 30_000, coze: 90_000 }

/** Opens the adapter for one piece of work, at most `CALL_TIMEOUT_MS` long, and closes it. */
export async function withPlatform<T>(
  deps: ApiDeps,
  target: PlatformTarget,
  requestSignal: AbortSignal,
  work: (platform: Platform, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const limitMs = CALL_TIMEOUT_MS[target.kind]
  const timeout = AbortSignal.timeout(limitMs)
  const platform = deps.openPlatform(target)
  try {
    return await work(platform, AbortSignal.any([requestSignal, timeout]))
  } catch (error) {
    if (timeout.aborted && !(error instanceof ToolferryError)) {
      throw new ToolferryError('Timeout', `The platform did not answer within ${limitMs / 1000} s.`, { cause: error })
    }
    throw error
  } finally {
    await platform.close()
  }
}

/** The saved platform with its credential, ready to be opened. 409 `credential_missing` without one. */
export async function savedTarget(
  deps: ApiDeps,
  platform: PlatformRecord,
): Promise<{ target: PlatformTarget; credentialVersion: number }> {
  const opened = await openCredential(deps.store, platform.id)
  const target = opened === null ? null : targetOf(savedDraft(platform, opened.credential))
  if (opened === null || target === null) {
    const secret = secretField(platform.kind)
    throw new ApiProblem(409, 'credential_missing', `The platform "${platform.name}" has no ${secret} (any more).`, {
      hint: 'Give it with PUT /api/v1/platforms/{id}/credential.',
    })
  }
  return { target, credentialVersion: opened.version }
}

/** Asks the platform for its spaces and keeps them. A refused credential is noted before the error goes on. */
export async function refreshSpaces(
  deps: ApiDeps,
  platform: PlatformRecord,
  requestSignal: AbortSignal,
): Promise<SpacesRefreshed> {
  const { target, credentialVersion } = await savedTarget(deps, platform)
  try {
    const listed = await withPlatform(deps, target, requestSignal, (adapter, signal) => adapter.listSpaces({ signal }))
    const refreshed = await upsertSpaces(deps.store, platform.id, listed)
    if (platform.credentialState !== 'valid')
      await setCredentialState(deps.store, platform.id, 'valid', credentialVersion)
    return refreshed
  } catch (error) {
    const state = error instanceof ToolferryError ? stateAfter(error.type) : null
    if (state !== null) await setCredentialState(deps.store, platform.id, state, credentialVersion)
    throw error
  }
}

/** What a check says of the credential; unknown when the platform could not be asked. */
export function credentialStateOf(check: PlatformCheck): CredentialState {
  if (check.ok) return 'valid'
  return (check.error === null ? null : stateAfter(check.error.type)) ?? 'unknown'
}

/** A failed check as a refusal that names the field to correct. */
export function checkFailed(check: PlatformCheck, kind: PlatformKind): ApiProblem {
  const error = check.error ?? { type: 'Unavailable', message: 'The check failed.' }
  const field = kind === 'dify' ? difyFieldOf(error) : cozeFieldOf(error)
  const known = Object.hasOwn(ERROR_FACTS, error.type) ? ERROR_FACTS[error.type as ErrorType] : null
  const hints = check.hints.length > 0 ? check.hints : known === null ? [] : [known.hint.en]
  return new ApiProblem(422, 'check_failed', error.message, {
    hint: [...hints, 'To save it all the same, add ?force=true.'].join(' '),
    errors: [{ field, message: error.message }],
  })
}

function stateAfter(type: string): CredentialState | null {
  if (type === 'CredentialRefused' || type === 'HumanVerificationNeeded') return 'refused'
  if (type === 'CredentialExpired') return 'expired'
  return null
}

function difyFieldOf(error: { type: string; field?: string }): string {
  if (error.field !== undefined) return error.field.startsWith('database.') ? error.field : `database.${error.field}`
  if (error.type === 'CredentialRefused') return 'database.password'
  if (error.type === 'Unavailable' || error.type === 'Timeout') return 'database.host'
  return 'database'
}

function cozeFieldOf(error: { type: string; field?: string }): string {
  if (error.field !== undefined) return error.field
  return error.type === 'Unavailable' || error.type === 'Timeout' ? 'baseUrl' : 'cookie'
}
