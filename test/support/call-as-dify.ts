import { CallRefused, openAsDify } from '../../demo/dify/mcp-call.ts'

/** One tool call the way Dify makes it: status 200 with the result's text, or the status that refused it. */
export async function callAsDify(
  url: string,
  headers: Record<string, string>,
  tool: string,
  args: Record<string, unknown>,
): Promise<{ status: number; text: string }> {
  try {
    const session = await openAsDify(url, headers)
    try {
      return { status: 200, text: await session.callTool(tool, args) }
    } finally {
      await session.close()
    }
  } catch (error) {
    if (error instanceof CallRefused) return { status: error.status, text: error.reason }
    throw error
  }
}
