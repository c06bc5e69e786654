export const messages = {
  title: 'Drift',
  lead: 'What on a platform is no longer as Toolferry wrote it, or could not be written.',
  show: 'Show',
  platform: 'Platform',
  everyPlatform: 'Every platform',
  mend: 'Mend',
  mendName: 'Mend drift',
  mendQuestion_one: 'Bring {{count}} object back to what it should be?',
  mendQuestion_other: 'Bring {{count}} objects back to what they should be?',
  mendMeaning:
    'A sync is started for each MCP server and platform. It writes only what differs, and only objects that Toolferry made.',
  openRun: 'Open',
  conflictHelp:
    'Something that Toolferry did not make is in the way. Rename or remove it on the platform, or adopt it, then sync again.',
  columns: {
    server: 'MCP server',
    space: 'Space',
    state: 'State',
    since: 'Since',
    what: 'What differs',
    lastRun: 'Last run',
  },
  empty: {
    title: 'Nothing here',
    text: 'Scheduled checks of profiles find what was changed or deleted by hand. Without a profile nothing is looked at between syncs.',
    profiles: 'Profiles',
  },
}
