import t, { type Test } from 'tap'
import type { BrowserContext, Page } from 'playwright-core'
import { startConversation, type Conversation } from '../client/conversation.js'
import { needs } from '../support/system-packages.js'
import { launchChromium } from './clients/chromium.js'
import { Firefox } from './clients/firefox.js'

// fastify-ws-routes/client in pages: the module as it is built, loaded by a <script>, with a URL that is relative to the page.

const origin = ({ proxy }: Conversation): string => proxy.url.replace('ws', 'http')

async function checkReport (t: Test, conversation: Conversation): Promise<void> {
  const seen = await conversation.report
  await conversation.check(t, seen)
  t.equal(seen.listenersBefore, 3, 'online, offline, visibilitychange')
}

t.test('Firefox', needs('firefox-esr'), async t => {
  const conversation = await startConversation(t)
  const firefox = await Firefox.start(t)
  await firefox.open(`${origin(conversation)}/`)
  await checkReport(t, conversation)
})

t.test('Chromium', needs('chromium'), async t => {
  const browser = await launchChromium(t)

  t.test('the line is lost in every way', async t => {
    const conversation = await startConversation(t)
    const page = await browser.newPage()
    await page.goto(`${origin(conversation)}/`)
    await checkReport(t, conversation)
  })

  /** A page of which the test makes the client, `live`, with pauses that no test waits for. */
  async function openPage (t: Test): Promise<{ conversation: Conversation, context: BrowserContext, page: Page, until (state: string): Promise<unknown> }> {
    const conversation = await startConversation(t, 60_000)
    const context = await browser.newContext()
    t.teardown(() => context.close())
    const page = await context.newPage()
    await page.goto(`${origin(conversation)}/#quiet`)
    await page.waitForFunction('window.isReady')
    await page.evaluate(`
      states = []
      got = []
      live = connect('live#fragment', { backoff: { base: 2 ** 30, cap: 2 ** 30 } })
      live.on('state', state => states.push(state))
      live.topic('rooms/7').on('message', message => got.push(message))
      live.topic('rooms/7').subscribe()`)
    return { conversation, context, page, until: state => page.waitForFunction(`live.state === '${state}'`) }
  }

  t.test('offline, and online again: at once', async t => {
    const { conversation: { app }, context, page, until } = await openPage(t)
    await until('open')
    await app.websocketServer.publish('rooms/7', 100)
    await page.waitForFunction('got.length === 1')
    await context.setOffline(true)
    await until('waiting')
    await app.websocketServer.publish('rooms/7', 101)
    await context.setOffline(false)
    await until('open')
    await page.waitForFunction('got.length === 2')
    t.same(await page.evaluate('got'), [100, 101])
    t.same(await page.evaluate('states'), ['open', 'waiting', 'connecting', 'open'])
  })

  t.test('a page that becomes visible tries at once', async t => {
    const { conversation: { app, proxy }, page, until } = await openPage(t)
    await until('open')
    // Headless pages are always visible.
    const show = (state: string): Promise<unknown> => page.evaluate(`
      Object.defineProperty(document, 'visibilityState', { value: '${state}', configurable: true })
      document.dispatchEvent(new Event('visibilitychange'))`)
    await show('hidden')
    await app.websocketServer.publish('rooms/7', 100)
    await page.waitForFunction('got.length === 1')
    proxy.cut()
    await until('waiting')
    await app.websocketServer.publish('rooms/7', 101)
    await show('hidden')
    t.equal(await page.evaluate('live.state'), 'waiting')
    await show('visible')
    await page.waitForFunction('got.length === 2')
    t.same(await page.evaluate('got'), [100, 101])
    await page.evaluate('live.close()')
    t.equal(await page.evaluate('live.state'), 'closed')
  })
})
