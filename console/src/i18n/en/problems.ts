/** Every problem code (and recorded error type in snake case) as what happened and what to do. */
export const messages = {
  network: {
    title: 'The server cannot be reached',
    hint: 'Check your connection and that Toolferry runs, then try again.',
  },
  unreadable_answer: {
    title: 'The answer is not Toolferry’s',
    hint: 'Something between this browser and Toolferry, such as a proxy, answered instead. Ask whoever runs it.',
  },
  console_bug: {
    title: 'This page has a fault',
    hint: 'Load the page again. If it comes back, report what is written here.',
  },
  other: { title: 'The request was refused', hint: 'Read what the server says below.' },
  unauthenticated: {
    title: 'This API key is not accepted',
    hint: 'Check the key: it may be mistyped, expired or revoked. An admin can make a new one.',
  },
  code_used: {
    title: 'This link has been used, or is older than ten minutes',
    hint: 'Sign in with an API key, or start the server again for a new link.',
  },
  https_needed: {
    title: 'No session can be kept here: the console was opened by plain http',
    hint: 'TOOLFERRY_PUBLIC_URL is https, so the session is, too. Open the console by https, or on the machine itself at 127.0.0.1.',
  },
  forbidden: {
    title: 'Your role may not do this',
    hint: 'Ask an admin, or sign in with an API key that has the role.',
  },
  foreign_origin: {
    title: 'The call did not come from this console',
    hint: 'Open the console at its own address and try again.',
  },
  unsupported_media_type: { title: 'The server expected JSON', hint: 'Load the page again.' },
  not_found: {
    title: 'This does not exist (any more)',
    hint: 'Somebody may have deleted it. The list shows what is there.',
  },
  invalid_request: { title: 'Some fields are not right', hint: 'Correct the fields named below.' },
  invalid_field: { title: 'A field is not right', hint: 'Correct the field named below.' },
  invalid_import: {
    title: 'This cannot be imported',
    hint: 'Paste a JSON object with mcpServers, as a client’s configuration file has it.',
  },
  malformed_json: { title: 'This is not valid JSON', hint: 'Check brackets, quotes and commas.' },
  body_too_large: { title: 'This is too large', hint: 'Send less at once.' },
  rate_limited: { title: 'Too many calls in a short time', hint: 'Wait a moment, then try again.' },
  too_many_failures: {
    title: 'Too many wrong keys came from your address',
    hint: 'Wait a minute, then sign in with a good API key.',
  },
  client_gone: { title: 'The call was broken off', hint: 'Try again.' },
  internal_error: {
    title: 'The server failed unexpectedly',
    hint: 'Give the request id to whoever runs the server; its log has the details.',
  },
  check_failed: {
    title: 'The platform check failed',
    hint: 'Correct what is named below; or save it all the same and repair it later.',
  },
  already_registered: { title: 'This is registered already', hint: 'Use or change the one that exists.' },
  other_user: { title: 'The cookie belongs to another user', hint: 'If that is meant, confirm the change of user.' },
  credential_missing: { title: 'The platform has no credential', hint: 'Give its password or cookie first.' },
  name_taken: { title: 'This name is taken', hint: 'Choose another name.' },
  stale_write: {
    title: 'Somebody else changed this meanwhile',
    hint: 'Nothing was overwritten. Look at what is there now, then change it again.',
  },
  precondition_required: { title: 'The version is missing', hint: 'Load the page again and repeat the change.' },
  token_in_use: {
    title: 'This token is used elsewhere',
    hint: 'Each space has a token of its own: give another, or let one be made.',
  },
  weak_token: { title: 'This token is too weak', hint: 'Give a longer and more varied one, or let one be made.' },
  no_token: { title: 'There is no token yet', hint: 'A sync makes it.' },
  idempotency_key_reused: {
    title: 'This request was sent before',
    hint: 'Nothing was done now. Send it once more: it is then a new request.',
  },
  has_deployments: {
    title: 'It still stands on platforms',
    hint: 'Remove it from the platforms first, or drop only the records.',
  },
  run_open: { title: 'A run is still going on', hint: 'Wait for it, or cancel it.' },
  token_active: { title: 'This token is in use', hint: 'Rotate it, or switch the access off.' },
  token_needed: { title: 'Its platform may still send this token', hint: 'Sync first, or end it by force.' },
  not_granted: { title: 'This access is switched off or has expired', hint: 'Switch it on, or give it a later end.' },
  same_token: { title: 'This token is in use here already', hint: 'Give another one, or have one made.' },
  not_deployed: { title: 'Nothing of this selection stands on a platform', hint: 'Sync it first.' },
  run_closed: { title: 'This run has ended', hint: 'Start a new one, or retry what failed.' },
  nothing_to_retry: { title: 'Nothing of this run failed', hint: 'There is nothing to retry.' },
  not_planned: { title: 'This run has no plan to carry out', hint: 'Make a plan first.' },
  warnings_not_accepted: { title: 'There are warnings', hint: 'Read them, and accept them if they are meant.' },
  last_admin_key: {
    title: 'This is the last admin key',
    hint: 'Make another admin key first; without one nobody could administer this installation.',
  },
  being_deleted: {
    title: 'It is just being deleted',
    hint: 'Wait for the end of its removal, or cancel the run that removes it; then it can be activated again.',
  },
  prune_not_confirmed: {
    title: 'This would remove more than the guard allows',
    hint: 'Look at what would be removed, and confirm it if it is meant.',
  },
  has_own_object: {
    title: 'This binding has an object of its own already',
    hint: 'Remove that one first, then adopt the other.',
  },
  nothing_to_adopt: { title: 'There is nothing to adopt', hint: 'Refresh: what was in the way is gone.' },
  owned_by_another: {
    title: 'The object belongs to another binding',
    hint: 'Remove it there first; one object has one binding.',
  },
  credential_expired: {
    title: 'The platform credential has expired',
    hint: 'Give a new one under the platform; waiting runs continue by themselves.',
  },
  credential_refused: {
    title: 'The platform refused the credential',
    hint: 'Check user and password, or paste the cookie again; waiting runs continue by themselves.',
  },
  human_verification_needed: {
    title: 'The platform asks for a human check',
    hint: 'Sign in with a browser, pass the check, then paste the new cookie.',
  },
  target_gone: { title: 'It is no longer on the platform', hint: 'Refresh the platform’s spaces and sync again.' },
  conflict: {
    title: 'Something that Toolferry did not make is in the way',
    hint: 'Remove or rename it on the platform, or adopt it, then retry.',
  },
  invalid_desired_state: {
    title: 'This cannot be used as it is',
    hint: 'Change the field named below, then try again.',
  },
  unsupported_version: {
    title: 'This version of the platform cannot do it',
    hint: 'The message names the version that can.',
  },
  upstream_unreachable: {
    title: 'The MCP server cannot be reached',
    hint: 'Check that it runs, its URL and its transport.',
  },
  upstream_unauthorized: {
    title: 'The MCP server refused the headers',
    hint: 'Correct the server’s headers or the pass-through headers.',
  },
  gateway_unreachable: {
    title: 'The gateway does not answer',
    hint: 'Check that the gateway runs and that TOOLFERRY_GATEWAY_URL is right.',
  },
  unavailable: {
    title: 'The platform does not answer',
    hint: 'Check host and port, and that this server may reach them.',
  },
  timeout: { title: 'It took too long', hint: 'Try again; check that the other side is well.' },
  space_busy: { title: 'Another run writes to this space', hint: 'It is tried again by itself.' },
  run_lost: {
    title: 'The run was ended by hand, or its history was lost',
    hint: 'What it had finished stands; start it again for the rest.',
  },
  bug: { title: 'This should not happen', hint: 'Report it with the run’s id and the time.' },
}
