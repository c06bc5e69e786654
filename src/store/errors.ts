import { ToolferryError } from '../domain/errors.ts'

/** Refusals of the store that the API tells apart by `code`. */
export type StoreErrorCode =
  | 'not_found'
  | 'stale_write'
  | 'name_taken'
  | 'already_registered'
  | 'token_in_use'
  | 'idempotency_key_reused'
  | 'has_deployments'
  | 'being_deleted'
  | 'owned_by_another'
  | 'last_admin_key'

export class StoreError extends ToolferryError {
  readonly code: StoreErrorCode

  constructor(code: StoreErrorCode, message: string, field?: string) {
    super(code === 'not_found' ? 'TargetGone' : 'Conflict', message, field === undefined ? {} : { field })
    this.code = code
  }
}

/** Somebody else changed the row since it was read; nothing was written. */
export class StaleWriteError extends StoreError {
  readonly currentRowVersion: number

  constructor(what: string, currentRowVersion: number) {
    super(
      'stale_write',
      `${what} was changed by somebody else in the meantime (it is at version ${currentRowVersion} now). Nothing was written: read it again and repeat the change.`,
    )
    this.currentRowVersion = currentRowVersion
  }
}

export class NotFoundError extends StoreError {
  constructor(what: string) {
    super('not_found', `${what} does not exist.`)
  }
}

export class TokenInUseError extends StoreError {
  constructor() {
    super(
      'token_in_use',
      'This token is already used for something else. A token belongs to one binding: give another one.',
      'token',
    )
  }
}

export class IdempotencyKeyReusedError extends StoreError {
  constructor() {
    super(
      'idempotency_key_reused',
      'This Idempotency-Key was used before for another request. Use a new key for a new request.',
    )
  }
}

/** The key was for the same request, and what that made was ended since. */
export class IdempotentEndedError extends StoreError {
  constructor() {
    super(
      'idempotency_key_reused',
      'What was made with this Idempotency-Key has been ended since. Use a new key to make another.',
    )
  }
}

export class BeingDeletedError extends StoreError {
  constructor(what: string) {
    super('being_deleted', `${what} is being deleted: nothing new can be brought there or taken from it.`)
  }
}
