import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'
import { brokenLinks } from '../../scripts/site-links.js'
import { ROOT } from '../../scripts/prepare.js'

t.test('the site is built, without dead links, broken anchors, and names without a doc comment', async t => {
  await promisify(execFile)('env', ['-u', 'NODE_OPTIONS', process.execPath, '--import=tsx', 'scripts/docs.ts', 'build'], { cwd: ROOT })
  t.pass('it is built')
})

t.test('a link to a page or an anchor that is not there is found', async t => {
  const folder = t.testdir({
    'index.html': '<a href="/there.html#a">a</a><a href="/there.html#b">b</a><a href="/gone.html">c</a><a href="https://example.com/gone">d</a>',
    'there.html': '<h2 id="a">A</h2>'
  })
  t.strictSame((await brokenLinks(folder, '/')).map(({ href }) => href), ['/there.html#b', '/gone.html'])
})
