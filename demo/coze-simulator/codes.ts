import type { CozeCode, CozeRefusal } from './options.ts'

/** HTTP 200 with a code that is not 0: how COZE refuses (coze.md §3.4). `httpStatus` differs only for errors before the business code. */
export class CozeRefused extends Error {
  readonly code: number
  readonly httpStatus: number

  constructor(code: number, message: string, httpStatus = 200) {
    super(message)
    this.name = 'CozeRefused'
    this.code = code
    this.httpStatus = httpStatus
  }
}

/**
 * Where a code comes from: [known] coze.md §3.4 has it of coze.cn; [OSS] the open-source backend's; [choice] unknown, chosen
 * here so that a client which reads code first and message second classes it rightly.
 */
export const DEFAULT_CODES: Record<CozeRefusal, CozeCode> = {
  notLoggedIn: { code: 700012006, msg: '登录校验不合法' }, // [known]
  riskControl: { code: 700012014, msg: '检测到您的网络发出了异常流量' }, // [known]
  regionRestricted: { code: 700012015, msg: '当前地区暂不支持使用该服务' }, // [known]; the text is a choice
  invalidParameter: { code: 109000000, msg: 'invalid parameter' }, // [OSS]
  permissionDenied: { code: 109000001, msg: '没有权限执行该操作' }, // [OSS]; the text is a choice
  notFound: { code: 109000005, msg: 'record not found' }, // [OSS]
  toolsCheckFailed: { code: 109000011, msg: 'tools check failed' }, // [OSS]
  versionTooLow: { code: 109000000, msg: '版本号必须大于当前线上版本' }, // [OSS]; the text is a choice
  contentCheck: { code: 720092020, msg: '内容包含敏感信息，请修改后重试' }, // [known]; the text is a choice
  duplicateName: { code: 702092010, msg: '插件名称已存在' }, // [known] for the import dialog
  editLocked: { code: 777777759, msg: '其他用户正在编辑，当前无法提交变更' }, // [choice]; the text is the web form's
  staleEditVersion: { code: 777777759, msg: '当前编辑版本已过期，请刷新后重试' }, // [choice]
  mcpUnreachable: { code: 720092061, msg: '获取MCP工具失败' }, // [choice]
  productListed: { code: 702092030, msg: '请将您的插件下架后再删除' }, // [choice]; the text is the web form's
  notInEnterprise: { code: 702042162, msg: '用户不在该企业中' }, // [known] for member calls of the OpenAPI
  nothingToPublish: { code: 109000000, msg: '没有可发布的变更' }, // [choice]
  pluginQuota: { code: 702092040, msg: '插件数量已达上限' }, // [choice]
  toolFailed: { code: 109000009, msg: 'execute tool failed' }, // [OSS]
}

/** What the front answers for requests that do not even bind: HTTP 400 with code 400 (OSS httputil). */
export function unbindable(what: string): CozeRefused {
  return new CozeRefused(400, `bind and validate failed: ${what}`, 400)
}
