import { startCozeSimulator } from './simulator.ts'

/**
 * The simulator as a program, to try a client against by hand:
 * node demo/coze-simulator/main.ts [port] [admin port] [public origin=real origin …]
 * It prints the cookie to paste, and where to look. Ends with Ctrl-C.
 */
const [port, adminPort, ...routes] = process.argv.slice(2)
const simulator = await startCozeSimulator({
  port: Number(port ?? 0),
  adminPort: Number(adminPort ?? 0),
  routes: Object.fromEntries(routes.map((route) => route.split('=', 2))),
})
const owner = simulator.addAccount({ name: '张三', uniqueName: 'zhangsan' })
const enterprise = simulator.addEnterprise({ name: '示例企业' })
for (const name of ['研发空间', '市场空间']) {
  const spaceId = simulator.addSpace({ name, ownerId: owner.userId, enterpriseId: enterprise.enterpriseId })
  for (let n = 1; n <= 5; n += 1) simulator.addForeignPlugin({ spaceId, name: `手动插件${n}` })
}
console.log(`COZE API    ${simulator.origin}`)
console.log(`Admin view  ${simulator.adminOrigin}`)
console.log(`Enterprise  ${enterprise.enterpriseId}`)
console.log(`User        ${owner.userId}`)
console.log(`Cookie      ${owner.cookie}`)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => simulator.stop())
