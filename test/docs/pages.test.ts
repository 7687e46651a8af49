import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { linkOnSite, slugify } from '../../docs/.vitepress/links.js'
import { GROUPS } from '../../docs/.vitepress/pages.js'
import { ROOT } from '../support/examples.js'

// The site of docs/: `npm run test:docs` builds it and opens it in a browser.

/** Folders of docs/ whose files are pages of the site; those of api/ are generated. */
const FOLDERS = ['', 'internals/', 'project/']

t.test('the sidebar has every page once, and no other', async t => {
  const names = await Promise.all(FOLDERS.map(async folder => (await readdir(join(ROOT, 'docs', folder))).map(name => folder + name)))
  const pages = names.flat().filter(name => name.endsWith('.md') && name !== 'index.md').map(name => name.slice(0, -'.md'.length))
  t.strictSame(GROUPS.flatMap(({ pages }) => Object.keys(pages)).toSorted(), pages.toSorted())
})

t.test('comments in the sources refer to pages that are there', async t => {
  for (const folder of ['types', 'lib']) {
    for (const name of await readdir(join(ROOT, folder), { recursive: true })) {
      if (!name.endsWith('.ts')) continue
      for (const [, page] of (await readFile(join(ROOT, folder, name), 'utf8')).matchAll(/\bdocs\/([\w/-]+\.(?:md|svg))/g)) {
        await t.resolves(readFile(join(ROOT, 'docs', page!)), `${folder}/${name}: docs/${page}`)
      }
    }
  }
})

t.test('links of the documents lead to pages of the site', async t => {
  t.equal(linkOnSite('limits.md', 'heartbeat.md#options'), '/heartbeat.md#options')
  t.equal(linkOnSite('internals/decisions.md', '../limits.md'), '/limits.md')
  t.equal(linkOnSite('limits.md', '../README.md'), '/')
  t.equal(linkOnSite('limits.md', '../CHANGELOG.md'), '/project/changelog.md')
  t.equal(linkOnSite('project/contributing.md', 'docs/architecture.md'), '/architecture.md')
  t.equal(linkOnSite('limits.md', 'https://example.com/'), 'https://example.com/')
  t.equal(linkOnSite('limits.md', '#rates'), '#rates')
  t.throws(() => linkOnSite('limits.md', 'not-there.md'), /docs\/limits\.md has a dead link: not-there\.md/)
})

t.test('headings have the anchors that they have on GitHub', async t => {
  t.equal(slugify('`connection.on` is not a function'), 'connectionon-is-not-a-function')
  t.equal(slugify('HTTP/2: which Node?'), 'http2-which-node')
})
