import { styleText } from 'node:util'

/** What the demo prints. On a terminal a progress line is redrawn in place; elsewhere its changes are plain lines. */
export type Terminal = {
  title(text: string): void
  /** A new step of the guided run. */
  step(text: string): void
  line(text?: string): void
  ok(text: string): void
  bad(text: string): void
  note(text: string): void
  facts(pairs: [string, string][]): void
  table(header: string[], rows: string[][]): void
  /** The one line that changes; null ends it. `detail` is for a terminal only. */
  progress(text: string | null, detail?: string): void
}

export type Style = Parameters<typeof styleText>[0]

export function createTerminal(stream: NodeJS.WriteStream): Terminal {
  const live = stream.isTTY === true
  const paint = (style: Style, text: string) => styleText(style, text, { stream })
  let current: string | null = null
  let detail = ''
  let steps = 0

  const erase = () => {
    if (live && current !== null) stream.write('\r\x1b[2K')
  }
  const draw = () => {
    if (live && current !== null)
      stream.write(paint('dim', cut(`   … ${current}${detail}`, (stream.columns || 80) - 1)))
  }
  const line = (text = '') => {
    erase()
    stream.write(`${text}\n`)
    draw()
  }

  return {
    line,
    title: (text) => {
      line()
      line(`  ${paint(['bold', 'cyan'], text)}`)
    },
    step: (text) => {
      line()
      line(`${paint(['bold', 'cyan'], String(++steps).padStart(2))} ${paint('bold', text)}`)
    },
    ok: (text) => line(`   ${paint('green', '✓')} ${text}`),
    bad: (text) => line(`   ${paint('red', '✗')} ${text}`),
    note: (text) => {
      for (const part of text.split('\n')) line(`     ${paint('dim', part)}`)
    },
    facts: (pairs) => {
      const width = Math.max(...pairs.map(([name]) => widthOf(name)))
      for (const [name, value] of pairs) line(`     ${paint('dim', pad(name, width))}  ${value}`)
    },
    table: (header, rows) => {
      const widths = header.map((_, column) => Math.max(...[header, ...rows].map((row) => widthOf(row[column] ?? ''))))
      const render = (row: string[]) =>
        row
          .map((cell, column) => pad(cell, widths[column] ?? 0))
          .join('   ')
          .trimEnd()
      line(`     ${paint(['dim', 'underline'], render(header))}`)
      for (const row of rows) line(`     ${paintStates(render(row), paint)}`)
    },
    progress: (text, more) => {
      if (live) {
        erase()
        current = text
        detail = more === undefined ? '' : ` ${more}`
        draw()
      } else if (text !== current) {
        current = text
        if (text !== null) stream.write(`   … ${text}\n`)
      }
    },
  }
}

const STATE_STYLES: Record<string, Style> = {
  in_sync: 'green',
  succeeded: 'green',
  create: 'green',
  update: 'yellow',
  unchanged: 'cyan',
  pending: 'dim',
  skipped: 'yellow',
  drifted: 'yellow',
  conflict: 'red',
  failed: 'red',
}

function paintStates(text: string, paint: (style: Style, text: string) => string): string {
  return text.replaceAll(/(?<=^|\s)[a-z_]+(?=\s|$)/g, (word) => {
    const style = STATE_STYLES[word]
    return style === undefined ? word : paint(style, word)
  })
}

function pad(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - widthOf(text)))
}

function cut(text: string, width: number): string {
  let used = 0
  let end = 0
  for (const character of text) {
    used += widthOf(character)
    if (used > width - 1) return `${text.slice(0, end)}…`
    end += character.length
  }
  return text
}

/** Columns on a terminal: East Asian wide characters and emoji take two. */
function widthOf(text: string): number {
  let width = 0
  for (const character of text) {
    width +=
      /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u.test(
        character,
      )
        ? 2
        : 1
  }
  return width
}
