import { readFile, writeFile } from 'node:fs/promises'
import { COLUMNS, type Column, type Verdict } from './judge.js'

const DOCS = new URL('../../docs/interoperability.md', import.meta.url)
const CLIENTS = '<!-- table: clients -->\n'
const PROXIES = '<!-- table: proxies -->\n'
const END = '<!-- end of table -->'

export interface Row {
  name: string
  language: string
  version: string
  verdict: Verdict
}

const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`

/** The rows with what a client cannot numbered, and the reasons as a list. */
export function renderTable (rows: readonly Row[]): string {
  const reasons: string[] = []
  const number = (reason: string): number => {
    if (!reasons.includes(reason)) reasons.push(reason)
    return reasons.indexOf(reason) + 1
  }
  const lines = rows.map(({ name, language, version, verdict: { cells, reasons } }) => line([
    name, language, version, ...COLUMNS.map(column => cells[column] + (reasons[column] === undefined ? '' : ` (${number(reasons[column])})`))
  ]))
  return [
    line(['client', 'language', 'version', ...COLUMNS]),
    `|${'---|'.repeat(COLUMNS.length + 3)}`,
    ...lines,
    '',
    ...reasons.map((reason, i) => `${i + 1}. ${reason}`)
  ].join('\n') + '\n'
}

async function readDocs (mark = CLIENTS): Promise<{ before: string, table: string, after: string }> {
  const text = await readFile(DOCS, 'utf8')
  const begin = text.indexOf(mark) + mark.length
  const end = text.indexOf(END, begin)
  return { before: text.slice(0, begin), table: text.slice(begin, end), after: text.slice(end) }
}

export async function writeTable (rows: readonly Row[]): Promise<void> {
  const { before, after } = await readDocs()
  await writeFile(DOCS, before + renderTable(rows) + after)
}

/** The cells of a table by client, with reasons instead of their numbers, and without versions, which security updates change. */
function parseRows (table: string): Map<string, string[]> {
  const reasons = new Map(Array.from(table.matchAll(/^(\d+)\. (.*)$/gm), ([, number, reason]) => [number, reason]))
  const cells = table.split('\n').filter(text => text.startsWith('| ')).slice(1).map(text => text.slice(2, -2).split(' | '))
  return new Map(cells.map(([name, language, , ...results]) => [name!, [language!, ...results.map(cell => cell.replace(/\((\d+)\)$/, (_, number) => `(${reasons.get(number)})`))]]))
}

/** The names in the docs' tables, in their order. */
export async function documentedNames (): Promise<{ clients: string[], proxies: string[] }> {
  const names = async (mark: string): Promise<string[]> => [...parseRows((await readDocs(mark)).table).keys()]
  return { clients: await names(CLIENTS), proxies: await names(PROXIES) }
}

/** What ran and what the docs say: the differences, in words. */
export async function compareTable (rows: readonly Row[]): Promise<string[]> {
  const documented = parseRows((await readDocs()).table)
  const differences: string[] = []
  for (const [name, cells] of parseRows(renderTable(rows))) {
    const expected = documented.get(name)
    if (expected === undefined) differences.push(`${name} is not in docs/interoperability.md`)
    else {
      cells.forEach((cell, i) => {
        const column: Column | 'language' = i === 0 ? 'language' : COLUMNS[i - 1]!
        if (cell !== expected[i]) differences.push(`${name}, ${column}: docs/interoperability.md says ${expected[i]}, it was ${cell}`)
      })
    }
  }
  return differences
}
