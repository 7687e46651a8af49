import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core'
import { fileURLToPath } from 'node:url'
import type { Teardown } from '../../support/app.js'
import { findProgram } from '../../support/system-packages.js'
import { Inbox, Refused, type Client, type OpenClient, type OpenOptions } from './client.js'

type PageEvent =
  | { type: 'open', protocol: string }
  | { type: 'error' }
  | { type: 'text' | 'binary', data: string }
  | { type: 'close', code: number, reason: string }

/** A headless Chromium, closed when the test ends. */
export async function launchChromium (t: Teardown): Promise<Browser> {
  const browser = await chromium.launch({
    executablePath: findProgram('chromium')!,
    headless: true,
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'
    ]
  })
  t.teardown(() => browser.close())
  return browser
}

/** A context that takes self-signed certificates, and whose pages can be driven by a `Client`. */
export async function newContext (browser: Browser): Promise<BrowserContext> {
  const context = await browser.newContext({ ignoreHTTPSErrors: true })
  await context.addInitScript({ path: fileURLToPath(new URL('in-page.js', import.meta.url)) })
  return context
}

/** A function of in-page.js, called in the page. */
function call<T> (page: Page, name: 'open' | 'take' | 'send' | 'close', ...args: unknown[]): Promise<T> {
  return page.evaluate(`interop.${name}(...${JSON.stringify(args)})`)
}

/** Waits for what the console of the browser says about a handshake that failed, for the status in it. */
function statusOf (page: Page): Promise<number | null> {
  return new Promise(resolve => {
    page.once('websocket', socket => {
      socket.once('socketerror', message => {
        const status = /Unexpected response code: (\d+)/.exec(message)?.[1]
        resolve(status === undefined ? null : Number(status))
      })
    })
  })
}

let connections = 0

/** The client of a page. */
export function pageClient (page: Page): Client {
  return {
    name: 'Chromium',
    canPing: false,
    isLikeBrowsers: true,
    canCloseWithoutCode: true,
    readsRefusals: true,

    async open (url: string, options: OpenOptions = {}): Promise<OpenClient> {
      const id = connections++
      const inbox = new Inbox()
      const status = statusOf(page)
      await call(page, 'open', id, url, options.protocols ?? [])
      const protocol = await new Promise<string>((resolve, reject) => {
        const onEvent = (event: PageEvent): void => {
          switch (event.type) {
            case 'open': return resolve(event.protocol)
            case 'error':
              status.then(code => reject(new Refused(code, null)))
              return
            case 'text': return inbox.push(event.data)
            case 'binary': return inbox.push(Buffer.from(event.data, 'base64'))
            case 'close': return inbox.end(event.code, event.reason)
          }
        }
        const read = async (): Promise<void> => {
          for (let isOver = false; !isOver;) {
            for (const event of await call<PageEvent[]>(page, 'take', id)) {
              onEvent(event)
              isOver ||= event.type === 'close'
            }
          }
        }
        // The page is gone, and the connection with it.
        read().catch(error => {
          inbox.end(1006, '')
          reject(error)
        })
      })
      // Calls of one turn leave in one message to the browser: a thousand of them would take seconds.
      let outgoing: { text?: string, base64?: string }[] = []
      return {
        protocol,
        send (data) {
          if (outgoing.length === 0) {
            setImmediate(() => {
              const messages = outgoing
              outgoing = []
              call(page, 'send', id, messages).catch(() => {})
            })
          }
          outgoing.push(typeof data === 'string' ? { text: data } : { base64: data.toString('base64') })
        },
        next: () => inbox.next(),
        close (...args) {
          call(page, 'close', id, args).catch(() => {})
        },
        closed: inbox.closed
      }
    }
  }
}

/** The client of Chromium: before it connects, its page goes to that of the same server. */
export async function startChromiumClient (t: Teardown): Promise<Client> {
  const context = await newContext(await launchChromium(t))
  const page = await context.newPage()
  const client = pageClient(page)
  return {
    ...client,
    async open (url, options) {
      const home = new URL('/page', url.replace(/^ws/, 'http')).href
      if (page.url() !== home) await page.goto(home)
      return client.open(url, options)
    }
  }
}
