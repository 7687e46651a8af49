/** A table of Markdown: text in the first column, numbers in the others. */
export function table (head: string[], rows: string[][]): string {
  return [head, ['---', ...head.slice(1).map(() => '---:')], ...rows].map(row => `| ${row.join(' | ')} |`).join('\n')
}
