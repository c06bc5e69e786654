export const messages = {
  title: '设置',
  lead: '在服务启动时通过环境变量设定，见 .env.example。',
  gateway: {
    title: '网关',
    publicUrl: '平台调用的地址',
    ownUrl: '本系统自己调用的地址',
    good: '任何地方的平台都可以调用此地址，包括 COZE。',
    plain: '此地址是明文 HTTP：适合内部网络，COZE 会拒绝。',
    plainHelp: '请在前面部署 TLS 代理，并将 TOOLFERRY_PUBLIC_URL 设为其 https 地址，或为 COZE 平台单独设置网关地址。',
    loopback: '只有本机可以调用此地址。',
    loopbackHelp:
      '请将 TOOLFERRY_PUBLIC_URL 设为 Dify 容器可以访问的地址，或为平台单独设置网关地址。在此之前同步会给出警告。',
  },
  installation: {
    title: '系统',
    version: '版本',
    store: '存储',
    stores: { sqlite: 'SQLite，单进程', mysql: 'MySQL，任意数量的进程' },
    retention: '保留天数',
    retentionOf: '运行 {{syncs}} · 网关日志 {{journal}} · 审计 {{audit}}',
    temporal: 'Temporal',
    namespace: '命名空间',
    webUi: 'Temporal Web UI',
    reference: 'API',
    openReference: '打开 API 参考',
  },
  parts: {
    title: '本进程的组成部分',
    works: '正常',
    fails: '未就绪',
    names: { store: '存储', gateway: '网关', temporal: 'Temporal', worker: 'Worker' },
  },
}
