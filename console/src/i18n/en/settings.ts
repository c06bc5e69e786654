export const messages = {
  title: 'Settings',
  lead: 'Set by environment variables when the server starts; see .env.example.',
  gateway: {
    title: 'Gateway',
    publicUrl: 'Address that platforms call',
    ownUrl: 'Address that this installation calls itself',
    again: 'Check again',
    verdicts: {
      ours: 'The gateway answers at the address that platforms call.',
      other: 'Something else answers at the address that platforms call.',
      unreachable: 'This server cannot reach the address that platforms call.',
    },
    verdictHelp: {
      ours: 'Asked from this server. A platform in another network may still not reach it.',
      other:
        'Syncs would give the platforms an address without tools. Check TOOLFERRY_PUBLIC_URL and the proxy in front.',
      unreachable: 'That need not hold for the platforms: they may be in another network, or know the name otherwise.',
    },
    coze: 'COZE takes this address: https and a domain name.',
    cozeHelp: 'COZE calls it from its own cloud, so it must be reachable from the Internet.',
    notCoze: 'COZE does not take this address.',
    loopback: 'Only this machine can call this address.',
    loopbackHelp:
      'Set TOOLFERRY_PUBLIC_URL to an address that Dify’s containers can open, or give a platform a gateway address of its own. Until then syncs warn.',
  },
  installation: {
    title: 'Installation',
    version: 'Version',
    store: 'Store',
    stores: { sqlite: 'SQLite, one process', mysql: 'MySQL, any number of processes' },
    retention: 'Kept, in days',
    retentionOf: 'Runs {{syncs}} · gateway log {{journal}} · audit {{audit}}',
    temporal: 'Temporal',
    namespace: 'Namespace',
    webUi: 'Temporal Web UI',
    reference: 'API',
    openReference: 'Open the API reference',
  },
  parts: {
    title: 'Parts of this process',
    works: 'Working',
    fails: 'Not working',
    names: { store: 'Store', gateway: 'Gateway', temporal: 'Temporal', worker: 'Worker' },
  },
}
