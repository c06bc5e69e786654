/** What a worker runs: the file that its bundle is made from. */
export { CredentialWatchWorkflow } from './credential-watch.ts'
export { SyncWorkflow } from './sync.ts'
