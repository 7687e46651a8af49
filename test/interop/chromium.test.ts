import t, { type Test } from 'tap'
import type { AddressInfo } from 'node:net'
import type { Page } from 'playwright-core'
import type { WebSocketPluginOptions } from '../../lib/index.js'
import { createCertificate } from '../support/generated-certificate.js'
import { needs } from '../support/system-packages.js'
import { chromiumClient, launchChromium, newContext, pageClient } from './clients/chromium.js'
import { Refused } from './clients/client.js'
import { runAt } from './places.js'
import { startInteropServer, type InteropServer } from './server.js'

async function start (t: Test, options: WebSocketPluginOptions = {}): Promise<{ server: InteropServer, port: number }> {
  const server = await startInteropServer(t, { host: '127.0.0.1', port: 0 }, {}, options)
  return { server, port: (server.app.server.address() as AddressInfo).port }
}

/** Returns the status of a handshake, which the browser does not pass to the page but writes to its console. */
async function status (page: Page, url: string): Promise<number | null> {
  try {
    const connection = await pageClient(page).open(url)
    connection.close(1000)
    await connection.closed
    return 101
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    return error.status
  }
}

t.test('Chromium', needs('chromium'), async t => {
  const browser = await launchChromium(t)

  t.test('over TCP', async t => runAt(t, 'TCP', chromiumClient(await (await newContext(browser)).newPage())))

  t.test('over TLS', needs('openssl'), async t => {
    const { cert, key } = await createCertificate(t)
    const server = await startInteropServer(t, { host: '127.0.0.1', port: 0 }, { https: { cert, key } })
    const { port } = server.app.server.address() as AddressInfo
    const client = chromiumClient(await (await newContext(browser)).newPage())
    const connection = await client.open(`wss://localhost:${port}/echo`)
    const data = Buffer.alloc(1024 * 1024, 'over TLS ')
    connection.send(data)
    t.ok(data.equals(await connection.next() as Buffer))
    connection.close(3000, 'done')
    t.equal((await connection.closed).code, 3000)
    t.strictSame(await server.nextClose(), { code: 3000, reason: 'done' })
  })

  t.test('pages of other origins are refused with 403', async t => {
    const [one, other] = await Promise.all([start(t), start(t)])
    const context = await newContext(browser)
    const page = await context.newPage()
    await page.goto(`http://127.0.0.1:${one.port}/page`)
    t.equal(await status(page, `ws://127.0.0.1:${one.port}/echo`), 101, 'same origin')
    t.equal(await status(page, `ws://127.0.0.1:${other.port}/echo`), 403, 'another port')
    t.equal(await status(page, `ws://localhost:${one.port}/echo`), 403, 'another name of the same address')
    await page.goto(`http://localhost:${one.port}/page`)
    t.equal(await status(page, `ws://localhost:${one.port}/echo`), 101, 'same origin by name')
    t.equal(await status(page, `ws://127.0.0.1:${one.port}/echo`), 403, 'its address')
    await page.goto(`http://127.0.0.1:${one.port}/sandboxed`)
    t.equal(await status(page, `ws://127.0.0.1:${one.port}/echo`), 403, 'an opaque origin, which is "null"')
    t.equal(one.server.app.websocketServer.clients.size + other.server.app.websocketServer.clients.size, 0)
    await context.close()
  })

  t.test('pages of origins that are allowed', async t => {
    const home = await start(t)
    const friend = await start(t, { origin: ['same-origin', `http://127.0.0.1:${home.port}`, /^null$/g] })
    const context = await newContext(browser)
    const page = await context.newPage()
    await page.goto(`http://127.0.0.1:${home.port}/page`)
    t.equal(await status(page, `ws://127.0.0.1:${friend.port}/echo`), 101)
    await page.goto(`http://localhost:${home.port}/page`)
    t.equal(await status(page, `ws://127.0.0.1:${friend.port}/echo`), 403)
    await page.goto(`http://127.0.0.1:${home.port}/sandboxed`)
    for (let i = 0; i < 2; i++) t.equal(await status(page, `ws://127.0.0.1:${friend.port}/echo`), 101)
    await context.close()
  })

  t.test('A13: a cookie that a hook sets is on the 101, and the browser keeps it', async t => {
    const { server, port } = await start(t)
    const seen: (string | undefined)[] = []
    server.app.websocketServer.on('connection', (_connection, request) => seen.push(request.headers.cookie))
    const context = await newContext(browser)
    const page = await context.newPage()
    await page.goto(`http://127.0.0.1:${port}/page`)
    t.equal(await status(page, `ws://127.0.0.1:${port}/cookie`), 101)
    t.equal(await page.evaluate('document.cookie'), 'visits=1')
    t.equal(await status(page, `ws://127.0.0.1:${port}/cookie`), 101)
    t.strictSame(seen, [undefined, 'visits=1'])
    await context.close()
  })

  for (const [what, leave] of [
    ['closed', (page: Page) => page.close()],
    ['reloaded', (page: Page) => page.reload()],
    ['left for another', (page: Page) => page.goto('about:blank')]
  ] as const) {
    t.test(`a page that is ${what} ends its connections, and is forgotten`, async t => {
      const { server, port } = await start(t)
      const context = await newContext(browser)
      const page = await context.newPage()
      await page.goto(`http://127.0.0.1:${port}/page`)
      for (let i = 0; i < 3; i++) await pageClient(page).open(`ws://127.0.0.1:${port}/echo`)
      t.equal(server.app.websocketServer.clients.size, 3)
      await leave(page)
      for (let i = 0; i < 3; i++) t.equal((await server.nextClose()).code, 1001)
      t.equal(server.app.websocketServer.clients.size, 0)
      await context.close()
    })
  }
})
