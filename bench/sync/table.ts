/** Prints a Markdown table; the first line is its head. The first `texts` columns are aligned to the left, the others are figures. */
export function printTable(lines: readonly (readonly string[])[], texts = 2): void {
  const widths = lines[0]?.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0))) ?? []
  for (const [index, line] of lines.entries()) {
    const padded = line.map((cell, column) =>
      column < texts ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
    )
    process.stdout.write(`| ${padded.join(' | ')} |\n`)
    if (index === 0) process.stdout.write(`|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|\n`)
  }
}
