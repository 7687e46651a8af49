import { ERRORS } from '../../lib/errors.js'

/** The table of the documentation, in Markdown: one row for each code of the catalogue. */
export function renderErrorTable (): string {
  const rows = Object.entries(ERRORS).map(([code, entry]) => `| \`${code}\` | \`${entry.errorClass.name}\` | ${effectOf(entry)} | ${entry.message} |`)
  return ['| `code` | class | what it does, or where it is thrown | message |', '|---|---|---|---|', ...rows].join('\n')
}

function effectOf (entry: (typeof ERRORS)[keyof typeof ERRORS]): string {
  if ('closeCode' in entry) return `close code ${entry.closeCode}`
  return 'statusCode' in entry ? `status ${entry.statusCode}` : entry.from
}
