/** What a worker runs: the file that its bundle is made from. */
export { CredentialWatchWorkflow } from './credential-watch.ts'
export { HousekeepingWorkflow } from './housekeeping.ts'
export { NotifyWorkflow } from './notify.ts'
export { SyncWorkflow } from './sync.ts'
export { TokenWatchWorkflow } from './token-watch.ts'
export { ToolWatchWorkflow } from './tool-watch.ts'
