export const messages = {
  title: 'Syncs',
  lead: 'Every run, the newest first. Runs of profiles are among them.',
  new: 'New sync',
  filter: 'State',
  every: 'Every state',
  actions: { sync: 'Sync', remove: 'Removal' },
  kinds: { plan: 'Plan only' },
  columns: {
    name: 'Run',
    state: 'State',
    platform: 'Platform',
    kind: 'Kind',
    targets: 'Targets',
    by: 'Started by',
    started: 'Started',
  },
  targets: '{{done}} of {{total}} good',
  bad: '{{count}} need a look',
  empty: {
    title: 'No runs here',
    text: 'A sync brings MCP servers into the spaces of a platform. Choose servers and spaces, read the plan, and start it.',
  },
}
