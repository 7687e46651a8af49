import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { ROOT } from './support/examples.js'

// The style guide in CONTRIBUTING.md: phrases that a search can find.

const BANNED: [phrase: RegExp, instead: string][] = [
  [/\bfrom which on\b/i, 'at least, or "once this many …"'],
  [/\bso many (?:bytes|milliseconds|messages|times)\b/i, 'this many, or the name of the value'],
  [/\bshall\b/i, 'the present tense, or must'],
  [/\bfor one(?=[.,;:)]|$)/im, 'such as, or for example'],
  [/\bin one go\b/i, 'at once'],
  [/\bwho does not pass\b/i, 'requests that fail validation'],
  [/\b(?:is|are|was|were|be|not) told\b(?! apart)/i, 'emitted, reported, or receives'],
  [/\b(?:he|him|his|himself)\b/i, 'it: a peer is a program']
]

/** A comment that opens with one of these is a fragment: it has no subject. A `/**` may have its first word on the next line. */
const FRAGMENT = /(?:^|\s)(?:\/\*\*?|(?<!\/\/[^\n]*\n\s*)\/\/)[\s*]+(?:What|Who|Whom|Whose|Those|That|Of)\b.*/g

const CODE = /\.(?:ts|js|mjs|c)$/

/** The text whose words count: of code the comments, of the changelog what is not released. */
async function wordsOf (file: string): Promise<string> {
  const text = await readFile(join(ROOT, file), 'utf8')
  if (CODE.test(file)) return text.replace(/^(?!\s*(?:\/\/|\/?\*)).*?(?=\s\/\/ |$)/gm, '')
  if (file === 'CHANGELOG.md') return text.split(/^## /m)[1]!
  return text
}

const FOLDERS = [
  'docs', 'lib', 'types', 'bench', 'examples', 'fuzz', 'scripts', 'soak', 'test/interop', 'test/model', 'test/support'
]

/** Folders with installed packages and their like, which others have written. Links in there may lead back to the root. */
const FOREIGN = ['node_modules', 'dist', 'coverage', '.tap', 'api', 'cache']

async function filesIn (folder: string): Promise<string[]> {
  const entries = await readdir(join(ROOT, folder), { withFileTypes: true })
  const found = await Promise.all(entries.map(async entry => {
    const path = `${folder}/${entry.name}`
    if (entry.isDirectory()) return FOREIGN.includes(entry.name) ? [] : filesIn(path)
    return CODE.test(path) || (folder.startsWith('docs') && path.endsWith('.md')) ? [path] : []
  }))
  return found.flat()
}

const files = ['README.md', 'CHANGELOG.md', ...(await Promise.all(FOLDERS.map(filesIn))).flat()]

t.test('no document and no comment has a phrase that the style guide bans', async t => {
  for (const file of files) {
    const lines = (await wordsOf(file)).split('\n')
    for (const [phrase, instead] of BANNED) {
      const found = lines.findIndex(line => phrase.test(line))
      if (found !== -1) t.fail(`${file}: ${lines[found]!.trim()}: rather ${instead}`)
    }
  }
  t.ok(files.length > 100)
})

t.test('no comment opens with a word that makes a fragment of it', async t => {
  const sources = files.filter(file => CODE.test(file))
  for (const file of sources) {
    for (const [found] of (await readFile(join(ROOT, file), 'utf8')).matchAll(FRAGMENT)) {
      t.fail(`${file}: ${found.trim()}: rather subject and verb first`)
    }
  }
  for (const fragment of ['/** Whose it is. */', '/**\n * What it is.\n */', '  // Of none.', 'x() // Those of it']) {
    t.match(fragment, new RegExp(FRAGMENT.source), fragment)
  }
  t.ok(sources.length > 90)
})
