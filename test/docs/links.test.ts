import t, { type Test } from 'tap'
import { access, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { filesIn } from '../../scripts/files.js'
import { ROOT } from '../support/examples.js'
import { linked } from './support.js'

// No link of the documentation to another place of this repository is dead, and no reference of a comment to the documentation.

const SOURCES = ['lib', 'types', 'bench', 'examples', 'fuzz', 'scripts', 'soak', 'test']

t.test('every link inside of the documentation leads somewhere', async t => {
  let checked = 0
  for (const file of linked) {
    const text = withoutCode(await readFile(join(ROOT, file), 'utf8'))
    for (const [, target] of text.matchAll(/\]\(([^)\s]+)(?: "[^"]*")?\)/g)) {
      if (/^(?:https?|mailto):/.test(target!)) continue
      await checkLink(t, file, target!)
      checked++
    }
  }
  t.ok(checked > 150, `${checked} links`)
})

t.test('every document that a source names is there', async t => {
  for (const file of SOURCES.flatMap(folder => filesIn(folder)).filter(name => /\.(?:[jt]s|mjs)$/.test(name))) {
    for (const [reference] of (await readFile(join(ROOT, file), 'utf8')).matchAll(/(?<![\w/.-])docs\/[\w/-]+\.md(?:#[\w-]+)?/g)) {
      if (reference !== 'docs/index.md') await checkLink(t, file, `/${reference}`)
    }
  }
})

t.test('anchors are those that GitHub makes', async t => {
  const anchors = anchorsOf('# A `b` c\n```sh\n# no heading\n```\n## HTTP/2: the stream\n## Twice\n## Twice\n## [Linked](x.md) text\n')
  t.strictSame([...anchors], ['a-b-c', 'http2-the-stream', 'twice', 'twice-1', 'linked-text'])
})

/** @param target a path, relative to the file or, with a slash, to the root; an anchor; or both */
async function checkLink (t: Test, file: string, target: string): Promise<void> {
  const [path, anchor] = target.split('#') as [string, string | undefined]
  const from = pathToFileURL(join(ROOT, file))
  const url = path.startsWith('/') ? pathToFileURL(join(ROOT, path)) : path === '' ? from : new URL(path, from)
  if (await access(url).then(() => false, () => true)) t.fail(`${file}: ${target} is not there`)
  else if (anchor !== undefined && !anchorsOf(await readFile(url, 'utf8')).has(anchor)) t.fail(`${file}: ${target} has no such anchor`)
}

function withoutCode (text: string): string {
  return text.replace(/^ *(```|~~~)[^]*?^ *\1/gm, '').replace(/`[^`\n]*`/g, '')
}

function anchorsOf (text: string): Set<string> {
  const anchors = new Set<string>()
  for (const [, heading] of text.replace(/^ *(```|~~~)[^]*?^ *\1/gm, '').matchAll(/^#+ (.+)$/gm)) {
    const anchor = heading!.replace(/\]\([^)]*\)/g, '').toLowerCase().replace(/[^\p{L}\p{N}_\- ]/gu, '').replaceAll(' ', '-')
    let unique = anchor
    for (let times = 1; anchors.has(unique); times++) unique = `${anchor}-${times}`
    anchors.add(unique)
  }
  return anchors
}
