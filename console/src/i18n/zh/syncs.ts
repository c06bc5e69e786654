export const messages = {
  title: '同步',
  lead: '所有运行，最新的在前，也包括同步配置的运行。',
  new: '新建同步',
  filter: '状态',
  every: '所有状态',
  actions: { sync: '同步', remove: '移除' },
  kinds: { plan: '仅计划' },
  columns: {
    name: '运行',
    state: '状态',
    platform: '平台',
    kind: '类型',
    targets: '目标',
    by: '发起人',
    started: '开始',
  },
  targets: '{{done}} / {{total}} 正常',
  bad: '{{count}} 个需要查看',
  empty: {
    title: '这里还没有运行',
    text: '同步会把 MCP 服务器带入平台的各个空间。选择服务器和空间，阅读计划，然后开始。',
  },
}
