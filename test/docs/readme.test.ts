import t from 'tap'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ROOT } from '../support/examples.js'
import { documents } from './support.js'

const MOST_LINES = 200

const readme = await readFile(join(ROOT, 'README.md'), 'utf8')

t.test('the README is short', async t => {
  const lines = readme.trimEnd().split('\n').length
  t.ok(lines <= MOST_LINES, `${lines} lines`)
})

t.test('each figure in its reasons to switch is in the page that it links to', async t => {
  const reasons = readme.split('\n## Why switch\n')[1]!.split('\n## ')[0]!.split('\n').filter(line => line.startsWith('- '))
  t.equal(reasons.length, 5)
  for (const reason of reasons) {
    const pages = await Promise.all([...reason.matchAll(/\]\(([^)#]+)/g)].map(([, path]) => readFile(join(ROOT, path!), 'utf8')))
    t.ok(pages.length > 0, `a link in: ${reason}`)
    for (const [, figure] of reason.matchAll(/\*\*([\d.,]+)\*\*/g)) {
      t.ok(pages.some(page => new RegExp(`(?<![\\d.,])${figure!.replaceAll('.', '\\.')}(?![\\d]|[.,]\\d)`).test(page)), figure)
    }
  }
})

t.test('it links to each page of docs/', async t => {
  const pages = documents.filter(name => /^docs\/[^/]+\.md$/.test(name) && name !== 'docs/index.md')
  for (const page of pages) t.ok(new RegExp(`\\]\\(${page}[)#]`).test(readme), page)
})
