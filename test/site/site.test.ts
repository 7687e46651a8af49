import { execFile } from 'node:child_process'
import { createReadStream, existsSync } from 'node:fs'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join } from 'node:path'
import { promisify } from 'node:util'
import type { Page } from 'playwright-core'
import t from 'tap'
import { GROUPS, REFERENCE } from '../../docs/.vitepress/pages.js'
import { SITE } from '../../scripts/docs.js'
import { brokenLinks } from '../../scripts/site-links.js'
import { ROOT } from '../../scripts/prepare.js'
import { needs } from '../support/system-packages.js'
import { launch, NARROWEST, openPage, photograph, testAccess, testWidth, VIEWS } from './browser.js'

const TYPES: Record<string, string> = {
  '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.png': 'image/png', '.woff2': 'font/woff2', '.json': 'application/json'
}

/** A long page with tables and code, and one of the API reference. */
const LONG = 'topics'
const REFERENCE_PAGE = 'api/fastify-ws-routes/interfaces/WebSocketRouteOptions'

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

const server = createServer((request, response) => {
  const { pathname } = new URL(request.url!, 'http://site')
  const file = join(SITE, pathname.endsWith('/') ? `${pathname}index.html` : pathname)
  if (!existsSync(file)) {
    response.writeHead(404).end()
    return
  }
  response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream' })
  createReadStream(file).pipe(response)
})
await once(server.listen(0, '127.0.0.1'), 'listening')
t.teardown(() => {
  server.closeAllConnections()
  server.close()
})
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

async function go (page: Page, path: string): Promise<void> {
  await page.goto(`${url}/${path}`)
  // The theme has taken over the page when the switch knows the colour scheme.
  await page.locator('.VPContent').waitFor()
  await page.waitForLoadState('networkidle')
}

async function search (page: Page, text: string): Promise<void> {
  await page.locator('#local-search button').first().click()
  await page.locator('#localsearch-input').fill(text)
  await page.locator('#localsearch-list .result').first().waitFor()
}

t.test('in a browser', needs('chromium'), async t => {
  const browser = await launch(t)

  for (const view of VIEWS) {
    t.test(view.name, async t => {
      const page = await openPage(t, browser, view)
      for (const [name, path] of [['home', ''], ['long page', `${LONG}.html`], ['reference', `${REFERENCE_PAGE}.html`]] as const) {
        await go(page, path)
        await testWidth(t, page, name)
        await testAccess(t, page, name)
        await photograph(page, `${name} ${view.name}`)
      }

      await search(page, 'maxPayload')
      await testAccess(t, page, 'search')
      await photograph(page, `search ${view.name}`)
      t.match(await page.locator('#localsearch-list .result').allInnerTexts(), [/maxPayload/], 'the option is the first result')
      await page.locator('#localsearch-list .result').first().click()
      await page.waitForURL(/#maxpayload/)
    })
  }

  t.test(`every page fits into ${NARROWEST} pixels`, async t => {
    const page = await openPage(t, browser, VIEWS.find(({ isPhone }) => isPhone)!)
    const paths = [...GROUPS.flatMap(({ pages }) => Object.keys(pages)), ...Object.keys(REFERENCE).map(name => `api/${name}`), '404']
    for (const path of paths) {
      await page.goto(`${url}/${path}.html`)
      await testWidth(t, page, path)
    }
  })

  t.test('words that readers look for are found', async t => {
    const page = await openPage(t, browser, VIEWS[0]!)
    await go(page, '')
    for (const [text, expected] of [['1009', /limits|errors|options/i], ['nginx', /deploying|proxies/i], ['FST_WS_ERR_ORIGIN', /errors|origins/i], ['backpressure', /backpressure/i]] as const) {
      await search(page, text)
      t.match((await page.locator('#localsearch-list .result').allInnerTexts()).join('\n'), expected, text)
      await page.keyboard.press('Escape')
    }
  })
})
