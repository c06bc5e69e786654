import type { AdminState } from './admin.ts'
import type { CozeCall } from './simulator-types.ts'

/** The admin view's one page: plain HTML, no script; a reload shows what is new. */
export function renderPage(state: AdminState, calls: CozeCall[]): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="5"><title>COZE simulator</title>
<style>
body{font:14px/1.45 system-ui,sans-serif;margin:1.5rem;color:#1f2329}h1{font-size:1.2rem}h2{font-size:1rem;margin-top:1.6rem}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.25rem .6rem;border-bottom:1px solid #e5e6eb;vertical-align:top}
th{font-weight:600;color:#4e5969}code{font-size:12px}.bad{color:#c9252d}.dim{color:#86909c}
</style></head><body>
<h1>COZE simulator <span class="dim">${text(state.origin)} · ${text(state.now)}</span></h1>
${state.spaces.map(renderSpace).join('\n')}
<h2>Calls</h2>
<p class="dim">${text(
    Object.entries(state.counts)
      .map(([endpoint, count]) => `${endpoint} ${count}`)
      .join(' · ') || 'none yet',
  )}</p>
<table><tr><th>#</th><th>time</th><th>endpoint</th><th>plugin</th><th>answer</th><th>faults</th></tr>
${calls.map(renderCall).join('\n')}</table>
<p class="dim">JSON: <a href="/state.json">state</a>, <a href="/calls.json">calls</a></p>
</body></html>`
}

function renderSpace(space: AdminState['spaces'][number]): string {
  const kind = space.spaceType === 1 ? 'personal' : (space.enterpriseId ?? 'team')
  const foreign = space.plugins.filter((plugin) => plugin.foreign && !plugin.deleted).length
  const shown = space.plugins.filter(({ foreign: byHand }) => !byHand)
  return `<h2>${text(space.name)} <span class="dim">${text(space.spaceId)} · ${text(kind)} · ${foreign} made by hand</span></h2>
${
  shown.length === 0
    ? '<p class="dim">No plugins made through the API.</p>'
    : `<table><tr><th>plugin</th><th>URL</th><th>headers</th><th>draft</th><th>published</th><th>state</th></tr>
${shown.map(renderPlugin).join('\n')}</table>`
}`
}

function renderPlugin(plugin: AdminState['spaces'][number]['plugins'][number]): string {
  const { meta, tools } = plugin.draft
  const headers = meta.commonParams[4].map(({ name, value }) => `${name}: ${value}`).join('\n')
  const state = plugin.deleted
    ? '<span class="bad">deleted</span>'
    : plugin.published
      ? plugin.status
        ? '<span class="bad">changed, not published</span>'
        : 'published'
      : '<span class="bad">never published</span>'
  return `<tr><td>${text(meta.name)}<br><code class="dim">${text(plugin.pluginId)}</code></td><td><code>${text(meta.url)}</code></td>
<td><code>${text(headers)}</code></td><td>${tools.length} tools, edit ${plugin.editVersion}</td>
<td>${plugin.online === null ? '–' : `${text(plugin.online.versionName)}, ${plugin.online.tools.length} tools`}</td><td>${state}</td></tr>`
}

function renderCall(call: CozeCall): string {
  const status = call.httpStatus === null ? 'cut' : `${call.httpStatus}${call.code === null ? '' : ` / ${call.code}`}`
  const good = call.httpStatus === 200 && call.code === 0
  return `<tr><td>${call.n}</td><td>${text(new Date(call.atMs).toISOString().slice(11, 23))}</td><td>${text(call.endpoint)}</td>
<td><code class="dim">${text(call.pluginId ?? '')}</code></td><td${good ? '' : ' class="bad"'}>${text(`${status} ${call.msg ?? ''}`)}</td><td>${text(call.faults.join(', '))}</td></tr>`
}

function text(value: string): string {
  return value.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
