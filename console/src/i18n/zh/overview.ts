export const messages = {
  title: '总览',
  counts: { platforms: '平台', spaces: '空间', instances: 'MCP 服务器', bindings: '授权' },
  steps: {
    title: '三步接入第一个工具',
    done: '已完成',
    platform: {
      title: '接入平台',
      text: '智能体所在的 Dify 数据库或 COZE 账号。',
      do: '接入平台',
    },
    instance: {
      title: '添加 MCP 服务器',
      text: '填写地址，或粘贴客户端的 JSON 配置。',
      do: '添加 MCP 服务器',
    },
    sync: {
      title: '同步',
      text: '选择服务器和工作空间，查看计划，然后执行。',
      do: '选择要同步的服务器',
    },
  },
  attention: {
    title: '需要关注',
    platform_credential: '{{platform}} 没有可用的凭据，请更新。',
    credential_expiring: '{{platform}} 的凭据即将到期，请提前更换。',
    run_waiting: '{{platform}} 上有运行正在等待新的凭据。',
    drifted_other: '{{platform}} 上有 {{count}} 个工具被他人修改。',
    failed_other: '{{platform}} 上有 {{count}} 个工具未能更新。',
    conflict_other: '{{platform}} 上有 {{count}} 个工具的位置被其他对象占用。',
    tools_changed_other: '{{platform}} 上有 {{count}} 个工具与其服务器当前提供的不一致。',
    still_used_other: '有 {{count}} 个已更换的令牌仍在使用，请查明来源或将其终止。',
    rotation_unfinished_other: '有 {{count}} 个已更换的令牌仍保存在平台上，请重新同步。',
    token_expires_in_1_day_other: '有 {{count}} 个授权将在一天内到期。',
    token_expires_in_7_days_other: '有 {{count}} 个授权将在 7 天内到期。',
    client_token_expires_other: '{{server}} 有 {{count}} 个自有客户端的令牌将在 7 天内到期。',
  },
  deployments: {
    title: '在平台上的状态',
    total_other: '共 {{count}} 个',
  },
  runs: {
    title: '同步',
    all: '全部同步',
    none: '还没有同步记录。',
    targets: '已完成 {{done}} / {{total}}',
  },
}
