export const messages = {
  title: 'Settings',
  lead: 'Set by environment variables when the server starts; see .env.example.',
  gateway: {
    title: 'Gateway',
    publicUrl: 'Address that platforms call',
    ownUrl: 'Address that this installation calls itself',
    good: 'Platforms anywhere can call this address, COZE included.',
    plain: 'This address is plain HTTP: good inside your network, refused by COZE.',
    plainHelp:
      'Put a TLS proxy in front and set TOOLFERRY_PUBLIC_URL to its https address, or give the COZE platform a gateway address of its own.',
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
