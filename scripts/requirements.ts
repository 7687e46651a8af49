// npm run requirements
//
// Writes the last column of docs/internals/requirements.md: the files whose tests name a code.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ROOT } from './prepare.js'

export const DOCUMENT = join(ROOT, 'docs/internals/requirements.md')

/** `A1` or `A1, B2, §5.5`, as a test name begins. */
const NAME = /\btest\(\s*['"`]((?:[ABC]\d+|§[\d.]+)(?:, (?:[ABC]\d+|§[\d.]+))*):? /g

/** @returns the files below test/ for each code, in order */
function testsByCode (): Map<string, string[]> {
  const files = new Map<string, string[]>()
  for (const file of filesIn('test')) {
    for (const [, codes] of readFileSync(join(ROOT, file), 'utf8').matchAll(NAME)) {
      for (const code of codes!.split(', ').filter(code => !code.startsWith('§'))) {
        files.set(code, [...new Set([...files.get(code) ?? [], file.slice('test/'.length)])])
      }
    }
  }
  return files
}

/**
 * The document as it has to be.
 *
 * @throws {Error} if a test names a code that it does not explain, or if no test names one of its codes
 */
export function updateRequirements (): string {
  const tests = testsByCode()
  const text = readFileSync(DOCUMENT, 'utf8').replace(/^\| ([ABC]\d+) (\|.*\|.*\|).*\|$/gm, (_row, code: string, text: string) => {
    const files = tests.get(code)
    if (files === undefined) throw new Error(`no test names ${code}`)
    tests.delete(code)
    return `| ${code} ${text} ${files.map(file => `\`${file}\``).join(', ')} |`
  })
  if (tests.size > 0) throw new Error(`${[...tests.keys()].join(', ')}: named by tests, and not explained`)
  return text
}

function filesIn (folder: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap(entry => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return entry.name === 'node_modules' || entry.name === '.tap' ? [] : filesIn(path)
    return entry.name.endsWith('.ts') ? [path] : []
  }).sort()
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(DOCUMENT, updateRequirements())
