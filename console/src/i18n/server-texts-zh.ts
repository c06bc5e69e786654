import { MORE_SERVER_TEXTS_ZH } from './server-texts-zh-more.ts'

/** What the server says in English, and how it is said in Chinese. The first pattern that fits wins. */
export const SERVER_TEXTS_ZH: [RegExp, string][] = [
  // Hints by type of error (src/domain/errors.ts)
  [/^The platform credential has expired\. .*$/, '平台凭据已过期。请在该平台上更新凭据，等待中的运行会自动继续。'],
  [
    /^The platform refused the credential\. .*$/,
    '平台拒绝了该凭据。请检查用户名和密码（或重新粘贴 Cookie）并保存，等待中的运行会自动继续。',
  ],
  [/^The platform asks for a human check\. .*$/, '平台要求人工验证。请用浏览器登录并完成验证，然后粘贴新的 Cookie。'],
  [/^The account may not do this\. .*$/, '该账号没有此权限。请授予消息中列出的权限，或换一个账号。'],
  [
    /^The workspace or object no longer exists on the platform\. .*$/,
    '平台上已不存在该工作空间或对象。请刷新空间列表后重新同步。',
  ],
  [
    /^An object that Toolferry did not make is in the way\. .*$/,
    '有一个不是由 Toolferry 创建的对象占用了位置。请在平台上删除或改名，或将其接管，然后重试。',
  ],
  [/^The platform cannot take what was asked for\. .*$/, '平台无法接受该配置。请修改消息中指出的字段，然后重试。'],
  [/^This version of the platform cannot do it\. .*$/, '该平台版本不支持此操作。消息中给出了支持的版本。'],
  [/^The MCP server could not be reached\. .*$/, '无法连接 MCP 服务器。请检查其是否运行，以及 URL 和传输方式。'],
  [
    /^The MCP server refused the headers it was given\. .*$/,
    'MCP 服务器拒绝了请求头。请修正实例的请求头或透传请求头。',
  ],
  [/^The gateway did not answer\. .*$/, '网关没有响应。请检查网关是否运行，以及 TOOLFERRY_GATEWAY_URL 是否正确。'],
  [/^The platform asks to slow down\. .*$/, '平台要求降低频率，系统会自动重试。'],
  [/^The platform is not answering\. .*$/, '平台暂时无响应，系统会自动重试。若持续出现，请检查主机和端口。'],
  [/^The call took too long\. .*$/, '调用超时，系统会自动重试。'],
  [/^Another run is writing to this space\. .*$/, '另一个运行正在写入该空间，系统会自动重试。'],
  [
    /^The run was ended by hand in Temporal, or its history was lost\. .*$/,
    '该运行在 Temporal 中被手动终止或其历史已丢失。已完成的部分有效，请重新启动以完成其余部分。',
  ],
  [/^This should not happen\. .*$/, '这不应发生。请附上运行编号和时间反馈给我们。'],
  // Warnings of a run (src/api/sync-input.ts)
  [
    /^The platform will be told to call (\S+), which is this machine only: .*$/,
    '平台将被告知调用 $1，而它只是本机地址：仅对运行在本机上的平台有效。请将 TOOLFERRY_PUBLIC_URL 或该平台的网关地址设为平台能够访问的地址。',
  ],
  // Defaults of every space (src/api/sync-input.ts)
  [
    /^Those of every space may stand for at most (\d+) authorizations together\. .*$/,
    '“所有空间”的设置合计最多对应 $1 个授权。请先为一部分服务器启动运行，再为其余的启动。',
  ],
  // What a plan notes of a target (src/domain/plan.ts)
  [/^The binding is disabled; .*$/, '该授权已禁用，平台上的对象保持不变。'],
  [/^The binding has expired; .*$/, '该授权已过期，平台上的对象保持不变。'],
  [/^It was deleted on the platform and is made again\.$/, '它在平台上被删除，将重新创建。'],
  [/^It exists and the write policy is create-only\.$/, '它已存在，而写入策略是只创建。'],
  [/^It is not there\.$/, '它不存在。'],
  [/^Edited on the platform and left so: (.*)\.$/, '在平台上被编辑过，保持原样：$1。'],
  // What stands in the way (src/platforms/dify/conflicts.ts, src/platforms/coze/foreign.ts)
  [
    /^The workspace has an MCP provider (.+), not recorded as this one, with the same server identifier\. .*$/,
    '工作空间中已有 MCP 工具 $1，服务器标识相同，但没有记录为此对象。请在 Dify 中移除它，或将其接管，然后重新同步。',
  ],
  [
    /^The workspace has an MCP provider (.+), not recorded as this one, with the same URL\. .*$/,
    '工作空间中已有 MCP 工具 $1，URL 相同，但没有记录为此对象。请在 Dify 中移除它，或将其接管，然后重新同步。',
  ],
  [/^The id recorded for this provider belongs to .*$/, '为此工具记录的 ID 属于另一个工作空间的工具。'],
  [
    /^The plugin (.+) in this space calls the same MCP server already, .*$/,
    '该空间中的插件 $1 已在调用同一个 MCP 服务器，但没有 Toolferry 创建它的记录。请在 COZE 中删除它，或将其接管，然后重新同步。',
  ],
  // Checks of a Dify database (src/platforms/dify/check.ts, reach-hints.ts)
  [/^(.+) at (\S+), encrypted$/, '$1（$2），已加密'],
  [/^(.+) at (\S+), not encrypted$/, '$1（$2），未加密'],
  [
    /^reads workspaces and accounts; reads, inserts, updates and deletes (\S+)$/,
    '可读取工作空间和账号；可读取、新增、修改和删除 $1',
  ],
  [/^there is no workspace yet$/, '尚无工作空间'],
  [/^(\d+), all usable$/, '$1 个，全部可用'],
  [/^(\d+), of which (\d+) cannot be written to: (.*)$/, '$1 个，其中 $2 个不可写入：$3'],
  [/^The server offers no TLS: .*$/, '数据库服务器未提供 TLS：密码校验和所有数据均以明文传输。'],
  [
    /^The gateway’s address (\S+) is this machine’s own: .*$/,
    '网关地址 $1 是本机地址：对容器中的 Dify 来说，localhost 是容器自身。请为该平台设置 Dify 的 api 和 worker 容器能够访问的网关地址（主机地址，或共享网络中的名称）。',
  ],
  [
    /^Dify 1\.15 and later deny private addresses, and the gateway’s is one\. In Dify’s \.env set (\S+)( \(or [^)]*\))?, then recreate its ssrf_proxy container\.$/,
    'Dify 1.15 及以上版本默认拒绝私有地址，而网关地址是私有地址。请在 Dify 的 .env 中设置 $1$2，然后重建 ssrf_proxy 容器。',
  ],
  [
    /^The gateway’s name (\S+) does not resolve here\. .*$/,
    '网关域名 $1 在此处无法解析，请确认它在 Dify 的容器中可以解析。',
  ],
  [
    /^Dify’s SSRF proxy lets HTTPS pass on port 443 only, and the gateway’s is (\d+): .*$/,
    'Dify 的 SSRF 代理只放行 443 端口的 HTTPS，而网关端口是 $1：请改用 443，或在 docker/ssrf_proxy/squid.conf.template 中放行该端口（acl SSL_ports port 1025-65535）并重建 ssrf_proxy。',
  ],
  [
    /^Dify’s SSRF proxy does not let HTTP pass on port (\d+): .*$/,
    'Dify 的 SSRF 代理不放行 $1 端口的 HTTP：请使用 80 或 1025 以上的端口。',
  ],
  [/^As the owner of Dify’s tables, run: (.*)$/, '请以 Dify 数据表所有者的身份执行：$1'],
  [/^On the same server (.+) looks? like Dify’s own database\.$/, '同一服务器上的 $1 看起来才是 Dify 的数据库。'],
  // Checks of a COZE account (src/platforms/coze/check.ts)
  [/^(.+) \((\S+)\) at (\S+)$/, '$1（$2），$3'],
  [/^accepted by (\S+); it does not tell whose it is$/, '$1 已接受；未说明属于哪个用户'],
  [/^personal account$/, '个人账号'],
  [/^(.+), organizations: none found$/, '$1，未找到组织'],
  [/^(.+), organizations: (.*)$/, '$1，组织：$2'],
  [/^(\d+) in which the user is owner or administrator$/, '$1 个，用户为其所有者或管理员'],
  [/^COZE, team or enterprise$/, 'COZE 团队或企业'],
  [/^COZE, personal$/, 'COZE 个人'],
  [/^The cookie does not tell when it ends \(it has no sid_guard\)\.$/, '该 Cookie 未包含到期时间（没有 sid_guard）。'],
  [/^The login ends in about (\d+) days?; .*$/, '登录将在约 $1 天后失效，请在此之前重新登录并粘贴新的 Cookie。'],
  [
    /^The user is owner or administrator of no space\. .*$/,
    '该用户不是任何空间的所有者或管理员，请先将其设为要同步的空间的管理员。',
  ],
  [
    /^The cookie gives the whole account\. .*$/,
    'Cookie 等同于整个账号的权限。建议使用专用账号，且只担任这些空间的管理员。',
  ],
  // Dify's database (src/platforms/dify/postgres-errors.ts, mysql-errors.ts)
  [
    /^The database at (\S+) refused user “(.+)” or its password\.( Some users .*)?$/,
    '位于 $1 的数据库拒绝了用户“$2”或其密码。',
  ],
  [
    /^The database at (\S+) does not let user “(.+)” into “(.+)” from here .*$/,
    '位于 $1 的数据库不允许用户“$2”从此处访问“$3”（用户不存在，或受 pg_hba.conf 限制）。',
  ],
  [
    /^The database at (\S+) does not let user “(.+)” in from here .*$/,
    '位于 $1 的数据库不允许用户“$2”从此处登录（主机未被允许）。',
  ],
  [/^There is no database “(.+)” at (\S+?)\.$/, '位于 $2 的服务器上没有数据库“$1”。'],
  [
    /^There is no database “(.+)” at (\S+), or the user “(.+)” has no right to anything in it\.$/,
    '位于 $2 的服务器上没有数据库“$1”，或者用户“$3”无权访问。',
  ],
  [
    /^The database user “(.+)” lacks (?:a privilege on )?(.+)\. Grant it, then try again\.$/,
    '数据库用户“$1”缺少权限：$2。请授权后重试。',
  ],
  [
    /^This is not Dify’s database: a table is missing\. .*$/,
    '这不是 Dify 的数据库：缺少数据表。Dify 自身的数据库通常名为 dify，您填写的是否为 dify_plugin？',
  ],
  [
    /^The database at (\S+) could not be reached \((.+)\)\. .*$/,
    '无法连接位于 $1 的数据库（$2）。请检查主机和端口，并确认端口已对外开放。',
  ],
  [/^The database at (\S+) did not answer in time\.$/, '位于 $1 的数据库未能及时响应。'],
  [/^The connection to the database at (\S+) was lost\.$/, '与位于 $1 的数据库的连接已断开。'],
  [
    /^The database at (\S+) does not offer TLS\. .*$/,
    '位于 $1 的数据库未提供 TLS。请把 TLS 设为“服务器支持时启用”或“关闭”。',
  ],
  [
    /^The database at (\S+) takes encrypted connections only\. .*$/,
    '位于 $1 的数据库只接受加密连接，请把 TLS 设为“始终启用”。',
  ],
  [
    /^The certificate of the database at (\S+) could not be verified \((.+)\)\. .*$/,
    '无法验证位于 $1 的数据库的证书（$2）。请信任其 CA（NODE_EXTRA_CA_CERTS），或把 TLS 设为“始终启用”。',
  ],
  [
    /^The database takes no writes \(a (?:standby|replica)\?\)\. .*$/,
    '该数据库不可写入（可能是备库），请填写主库地址。',
  ],
  [
    /^This Dify’s tables changed while they were in use\. .*$/,
    'Dify 的数据表在使用过程中发生了变化。请检查平台后重新同步。',
  ],
  [
    /^Another MCP provider took the place at the same moment \((.+)\)\. Sync again\.$/,
    '另一个 MCP 工具同时占用了该位置（$1），请重新同步。',
  ],
  [
    /^Somebody else is changing the same provider and did not finish in time\.$/,
    '有人正在修改同一个工具，且未能及时完成。',
  ],
  // MCP servers (src/mcp/errors.ts)
  [
    /^The MCP server refused the connection \(ECONNREFUSED\): .*$/,
    'MCP 服务器拒绝连接（ECONNREFUSED）：该主机和端口上没有服务。',
  ],
  [
    /^The MCP server's host name is unknown \(ENOTFOUND\)\. .*$/,
    '找不到 MCP 服务器的主机名（ENOTFOUND），请检查 URL 和 DNS。',
  ],
  [
    /^The MCP server's host name could not be resolved now \((.+)\)\. .*$/,
    '暂时无法解析 MCP 服务器的主机名（$1），请检查 DNS。',
  ],
  [/^There is no route to the MCP server \((.+)\)\.$/, '无法路由到 MCP 服务器（$1）。'],
  [/^The MCP server closed the connection.*$/, 'MCP 服务器关闭了连接。'],
  [/^The MCP server did not answer in time \((.+)\)\.$/, 'MCP 服务器未能及时响应（$1）。'],
  [
    /^The MCP server did not finish within (\S+) s\. .*$/,
    'MCP 服务器未能在 $1 秒内完成。请确认其能正常响应，或调高时限。',
  ],
  [/^The MCP server refused the headers it was given \(HTTP (\d+)\)\.$/, 'MCP 服务器拒绝了请求头（HTTP $1）。'],
  [/^The MCP server answered HTTP (\d+)\. Check the path.*$/, 'MCP 服务器返回 HTTP $1，请检查 URL 的路径和传输方式。'],
  [/^The MCP server answered HTTP (\d+)\.$/, 'MCP 服务器返回 HTTP $1。'],
  [
    /^The MCP server answered with a redirect \(HTTP (\d+)\), .*$/,
    'MCP 服务器返回重定向（HTTP $1），系统不会跟随。请填写最终的 URL。',
  ],
  [
    /^The MCP server answered (?:the SSE connection )?with (.+) instead of .*$/,
    'MCP 服务器返回了 $1，而不是 JSON 或事件流。请确认 URL 是 MCP 端点，并检查传输方式。',
  ],
  [/^The MCP server answered something that is not .*$/, 'MCP 服务器返回的内容不是有效的 MCP。'],
  [/^The MCP server's answer is not valid MCP \((.+)\)\.$/, 'MCP 服务器的响应不是有效的 MCP（$1）。'],
  [/^The TLS certificate of the MCP server is not accepted \((.+)\)\.$/, 'MCP 服务器的 TLS 证书不被接受（$1）。'],
  [/^The connection to the MCP server failed.*$/, '连接 MCP 服务器失败。'],
  // COZE (src/platforms/coze/)
  [
    /^COZE does not know the login any more: it has expired or was signed out(.*)$/,
    'COZE 登录已失效：已过期或已退出$1',
  ],
  [/^COZE asks for a human check before it answers this account again(.*)$/, 'COZE 要求该账号先完成人工验证$1'],
  [/^COZE does not let this account do it(.*)$/, 'COZE 不允许该账号执行此操作$1'],
  [/^COZE asks to slow down(.*)$/, 'COZE 要求降低请求频率$1'],
  [/^COZE is busy(.*)$/, 'COZE 繁忙$1'],
  [
    /^The cookie has no login in it .*$/,
    'Cookie 中没有登录信息（sessionid）。请在浏览器中登录 COZE，打开开发者工具，复制发往 COZE 的请求的完整 Cookie。',
  ],
  [/^The cookie has characters that no cookie has; .*$/, 'Cookie 中含有非法字符，请从浏览器重新复制。'],
  [
    /^The cookie’s user is not in the team or enterprise (\S+), but in (.*)\.$/,
    'Cookie 的用户不属于团队或企业 $1，而属于：$2。',
  ],
  [/^The cookie is of the COZE user (\S+), not of (\S+)\.$/, 'Cookie 属于 COZE 用户 $1，而不是 $2。'],
  [/^This cookie is of (.+); the one before was of (.+)\.$/, '该 Cookie 属于 $1；之前的属于 $2。'],
  [
    /^This is the open-source edition of COZE .*$/,
    '这是 COZE 开源版（Coze Studio），没有 MCP 插件。Toolferry 支持 COZE 商业版 www.coze.cn。',
  ],
  [/^This is an organization id\. .*$/, '这是组织 ID。请填写团队或企业 ID，例如 volcano_2100000000。'],
  [/^A team or enterprise needs its id, .*$/, '团队或企业需要填写其 ID，例如 volcano_2100000000（在组织设置中查看）。'],
  [
    /^COZE cannot call the gateway: .*$/,
    'COZE 无法访问该网关。请将网关置于带域名的 https 地址之后，并填写为该平台的网关地址。',
  ],
  // The gateway's address (src/api/gateway-check.ts)
  [/^Something else than the gateway answers there \(HTTP (\d+)\)\.$/, '该地址上应答的不是网关（HTTP $1）。'],
  [/^A redirect answers there \(HTTP (\d+)\), .*$/, '该地址返回重定向（HTTP $1），不会跟随。'],
  [
    /^A proxy answers there that does not reach the gateway \(HTTP (\d+)\)\.$/,
    '该地址上的代理无法连接网关（HTTP $1）。',
  ],
  [/^The connection failed \((.+)\)\.$/, '连接失败（$1）。'],
  // Addresses (src/egress/policy.ts)
  [/^it is not a URL\. .*$/, '不是有效的 URL。'],
  [/^it starts with (\S+) and only http: and https: are called\. .*$/, '以 $1 开头，只支持 http: 和 https:。'],
  [/^it has spaces or control characters\. .*$/, '含有空格或控制字符。'],
  [/^(?:it|“(.+)”) has no address\. Check its DNS entry\.$/, '$1 没有可用的地址，请检查 DNS。'],
  [
    /^(.+) is this machine, and Toolferry serves other machines\. .*$/,
    '$1 是本机，而 Toolferry 为其他机器提供服务。请填写外部可达的地址，或将其加入 TOOLFERRY_EGRESS_ALLOW。',
  ],
  [/^(.+) is denied by TOOLFERRY_EGRESS_DENY\. .*$/, '$1 被 TOOLFERRY_EGRESS_DENY 禁止，请更换地址或联系运维人员。'],
  [
    /^(.+) is .+; Toolferry never connects there\. .*$/,
    '$1 是 Toolferry 绝不连接的地址，请填写服务器自身的主机名或地址。',
  ],
  [/^(\S+) is Toolferry's own gateway, .*$/, '$1 是 Toolferry 自己的网关，它会调用自己。请填写 MCP 服务器本身的地址。'],
  [
    /^port (\d+) on (\S+) belongs to Toolferry itself .*$/,
    '$2 的 $1 端口属于 Toolferry 自身，请填写目标服务器的地址。',
  ],
  // Headers and tokens (src/domain/header-rules.ts, token.ts)
  [/^has an empty name$/, '名称为空'],
  [/^has an empty value$/, '值为空'],
  [/^is not a header name: .*$/, '不是有效的请求头名称'],
  [/^has a line break in its value; .*$/, '值中含有换行，请删除'],
  [/^cannot be given: it .*$/, '不能设置：由 Toolferry 或协议自身管理'],
  [/^is the same header as (\S+); .*$/, '与 $1 是同一个请求头（不区分大小写），请删除其一'],
  [/^It is too short: at least (\d+) characters\.$/, '太短：至少 $1 个字符。'],
  [/^It is too long: at most (\S+) characters\.$/, '太长：最多 $1 个字符。'],
  [/^It has only (\d+) different characters: at least (\d+) .*$/, '只有 $1 种不同字符，至少需要 $2 种。'],
  [/^It begins or ends with a space\.$/, '首尾有空格。'],
  [/^A header can carry only visible ASCII characters: .*$/, '请求头只能包含可见的 ASCII 字符。'],
  [/^It is mostly an obvious sequence .*$/, '主要由明显的序列组成，例如 123456 或 abcdef。'],
  [/^It is (?:one character|a short piece) repeated\.$/, '由重复的内容组成。'],
  [/^It contains "\{\{", .*$/, '含有“{{”，Dify 会将其视为模板。'],
  // What a JSON of a client lacks, and schedules (src/domain/mcp-servers-json.ts, schedule.ts)
  [/^must be an object like .*$/, '必须是形如 {"mcpServers": {"名称": {"url": "https://…/mcp"}}} 的对象'],
  [/^has (\d+) servers; at most (\d+) are taken at once\. .*$/, '有 $1 个服务器，一次最多导入 $2 个，请分次导入'],
  [/^must be an object with a url$/, '必须是带有 url 的对象'],
  [/^must be a URL$/, '必须是 URL'],
  [/^must be http, streamable-http, .*$/, '必须是 http、streamable-http、streamableHttp 或 sse，也可以省略'],
  [/^must be an object of header names and values$/, '必须是由请求头名称和值组成的对象'],
  [/^must be a text$/, '必须是文本'],
  [/^refers to a variable of the client .*$/, '引用了来源客户端的变量，请直接填写其值'],
  [
    /^runs as a local command \(stdio\), .*$/,
    '以本地命令（stdio）运行，平台无法通过网络调用。请将其置于 HTTP 桥接之后，并填写其 URL',
  ],
  [/^is missing$/, '缺失'],
  [/^must have five fields: .*$/, '须有五个字段：分、时、日、月、星期'],
  [/^"(.+)" is no .+ \((\d+) to (\d+)\)$/, '“$1”不在允许的范围内（$2 至 $3）'],
  [/^is no time zone; .*$/, '不是有效的时区，请使用 Asia/Shanghai 这样的名称'],
  // The API (src/api/)
  [
    /^.+ was changed by somebody else in the meantime \(it is at version (\d+) now\)\. .*$/,
    '已被他人修改（现为第 $1 版），未写入任何内容。请重新查看后再修改。',
  ],
  [/^Some bindings were changed by somebody else in the meantime; .*$/, '部分授权已被他人修改，未写入任何内容。'],
  [/^This API key does not exist, has expired or was revoked\.$/, '该 API 密钥不存在、已过期或已吊销。'],
  [/^Too many wrong keys or codes came from this address\.$/, '来自该地址的错误密钥或登录码过多。'],
  [/^Wait (\d+) s, then try again with a good API key\.$/, '请等待 $1 秒，再用有效的 API 密钥重试。'],
  [/^There is no such (?:\w+)\.$/, '不存在，可能已被删除。'],
  [/^There is no (\S+) (\S+)\.$/, '不存在（$1 $2）。'],
  [/^This needs the role (\S+); the caller has (\S+)\.$/, '需要 $1 角色，当前为 $2。'],
  [
    /^This (?:database|COZE account) is already registered as the platform "(.+)" \((.+)\)\.$/,
    '已登记为平台“$1”（$2）。',
  ],
  [/^The platform "(.+)" has no (?:password|cookie) \(any more\)\.$/, '平台“$1”没有可用的密码或 Cookie。'],
  [
    /^The mask keeps a sealed value, and there is none \(any more\): give the value\.$/,
    '原来保存的值已失效，请重新填写。',
  ],
  [/^This time has passed already\. Give a later one\.$/, '该时间已过，请选择更晚的时间。'],
  [/^The request is not valid: (.*)\.$/, '请求有误：$1。'],
  [/^Nothing was imported; errors says for each entry why\.$/, '未导入任何内容，各条目的原因如下。'],
  [/^There is already an instance of this name\.$/, '已有同名的服务器。'],
  [/^Two entries have this name\.$/, '有两个条目同名。'],
  [/^must not be empty$/, '不能为空'],
  [/^must not hold control characters$/, '不能包含控制字符'],
  ...MORE_SERVER_TEXTS_ZH,
]
