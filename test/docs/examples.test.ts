import t from 'tap'
import { access, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ROOT, typeCheck } from '../support/examples.js'
import { documents, examples, project, testCoverage } from './support.js'

t.test('every example has a check', async t => {
  const names = await readdir(import.meta.dirname)
  await testCoverage(t, examples, names.filter(name => name.endsWith('.test.ts')).map(name => join(import.meta.dirname, name)))
})

t.test('every link inside of the documentation leads somewhere', async t => {
  for (const file of [...documents, 'docs/migration.md', 'docs/authentication.md', 'docs/internals/requirements.md', 'CONTRIBUTING.md', 'SECURITY.md']) {
    const text = await readFile(join(ROOT, file), 'utf8')
    for (const [, target] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target!)) continue
      const [path, anchor] = target!.split('#') as [string, string | undefined]
      const url = new URL(path === '' ? '' : path, pathToFileURL(join(ROOT, file)))
      await t.resolves(access(url), `${file}: ${path}`)
      if (anchor !== undefined) t.ok(anchorsOf(await readFile(url, 'utf8')).has(anchor), `${file}: ${path}#${anchor}`)
    }
  }
})

t.test('every example in TypeScript is typed', async () => {
  await typeCheck(project)
})

function anchorsOf (text: string): Set<string> {
  return new Set([...text.matchAll(/^#+ (.+)$/gm)].map(([, heading]) => heading!.toLowerCase().replace(/[^\w\- ]/g, '').replaceAll(' ', '-')))
}
