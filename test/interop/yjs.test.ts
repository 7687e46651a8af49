import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import type { Browser, Page } from 'playwright-core'
import WebSocket from 'ws'
import { WebsocketProvider } from 'y-websocket'
import * as Y from 'yjs'
import { docs, setupWSConnection } from '../../examples/yjs/setup-ws-connection.js'
import websocket from '../../lib/index.js'
import { stopProgram, type ProcessTest } from '../support/child-process.js'
import type { Teardown } from '../support/app.js'
import { runExample } from '../support/run-example.js'
import { needs } from '../support/system-packages.js'
import { launchChromium } from './clients/chromium.js'
import { findPort } from './proxies.js'

// y-websocket is the client, in two browsers and in Node. What the server needs is in examples/yjs.

class Writer {
  readonly page: Page

  private constructor (page: Page) {
    this.page = page
  }

  static async open (browser: Browser, url: string): Promise<Writer> {
    // A context of its own: nothing but the server connects the two.
    const writer = new Writer(await (await browser.newContext()).newPage())
    await writer.page.goto(url)
    await writer.shows('status', 'connected')
    return writer
  }

  async shows (id: string, value: string): Promise<void> {
    await this.page.locator(`[data-testid=${id}]`, { hasText: new RegExp(`^${value}$`) }).waitFor()
  }

  async type (text: string): Promise<void> {
    await this.page.getByTestId('text').pressSequentially(text)
  }

  async moveTo (position: number): Promise<void> {
    await this.page.evaluate(`{ const area = document.querySelector('textarea'); area.focus(); area.setSelectionRange(${position}, ${position}) }`)
  }

  /** Waits until this is all that is written. */
  async reads (text: string): Promise<void> {
    await this.page.waitForFunction(`document.querySelector('textarea').value === ${JSON.stringify(text)}`)
  }

  value (): Promise<string> {
    return this.page.getByTestId('text').inputValue()
  }
}

t.test('two browsers write one text (examples/yjs)', needs('chromium'), async t => {
  const browser = await launchChromium(t)
  const port = await findPort()
  const start = (): ReturnType<typeof runExample> => runExample(t as ProcessTest, 'examples/yjs/server.ts', { env: { PORT: String(port) } })
  const { url, program } = await start()
  const [ada, charles] = await Promise.all([Writer.open(browser, `${url}/#engine`), Writer.open(browser, `${url}/#engine`)])
  await Promise.all([ada.shows('people', '2'), charles.shows('people', '2')])

  await ada.type('weaves patterns')
  await charles.reads('weaves patterns')
  // Both at once, at both ends.
  await Promise.all([charles.moveTo(0), ada.moveTo(15)])
  await Promise.all([charles.type('The Analytical Engine '), ada.type(' as the loom weaves flowers \u{1f33a}')])
  const whole = 'The Analytical Engine weaves patterns as the loom weaves flowers \u{1f33a}'
  await Promise.all([ada.reads(whole), charles.reads(whole)])

  // A late visitor gets the current document; a different name gives a different document.
  const late = await Writer.open(browser, `${url}/#engine`)
  await late.reads(whole)
  await ada.shows('people', '3')
  await late.page.context().close()
  await ada.shows('people', '2')
  const elsewhere = await Writer.open(browser, `${url}/#difference`)
  await elsewhere.shows('people', '1')
  t.equal(await elsewhere.value(), '')

  // While the server is away both go on; it comes back with nothing, and gets all of it from them.
  await stopProgram(program, 'SIGTERM')
  t.equal(program.exitCode, 0)
  await Promise.all([ada.shows('status', '(?:dis|)connect(?:ed|ing)'), charles.shows('status', '(?:dis|)connect(?:ed|ing)')])
  await Promise.all([ada.moveTo(0), charles.moveTo(whole.length)])
  await Promise.all([ada.type('1843: '), charles.type('!')])
  await start()
  await Promise.all([ada.reads(`1843: ${whole}!`), charles.reads(`1843: ${whole}!`)])
})

interface Editor {
  doc: Y.Doc
  text: Y.Text
  provider: WebsocketProvider
}

function connect (t: Teardown, url: string): Editor {
  const doc = new Y.Doc()
  const provider = new WebsocketProvider(`${url}/documents`, 'one', doc, {
    WebSocketPolyfill: WebSocket as never,
    disableBc: true,
    maxBackoffTime: 100
  })
  t.teardown(() => {
    provider.destroy()
    doc.destroy()
  })
  return { doc, text: doc.getText('text'), provider }
}

interface Emitter {
  on (event: string, listener: () => void): unknown
  off (event: string, listener: () => void): void
}

/** Waits until the condition holds, for which it is asked again at each of these events. */
async function until (emitter: unknown, event: string, condition: () => boolean): Promise<void> {
  if (condition()) return
  await new Promise<void>(resolve => {
    const listener = (): void => {
      if (!condition()) return
      (emitter as Emitter).off(event, listener)
      resolve()
    }
    (emitter as Emitter).on(event, listener)
  })
}

function isSynced ({ provider }: Editor): Promise<void> {
  return until(provider, 'sync', () => provider.synced)
}

function reads ({ doc, text }: Editor, expected: string): Promise<void> {
  return until(doc, 'update', () => text.toString() === expected)
}

interface Served {
  app: FastifyInstance
  url: string
  port: number
}

async function serve (t: Teardown, port = 0): Promise<Served> {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(websocket)
  app.get<{ Params: { name: string } }>('/documents/:name', { websocket: true }, (connection, request) => {
    setupWSConnection(connection, request.raw, { docName: request.params.name })
  })
  await app.listen({ port, host: '127.0.0.1' })
  const address = app.server.address() as AddressInfo
  return { app, url: `ws://127.0.0.1:${address.port}`, port: address.port }
}

t.test('what was written while the server was away is merged when it is back', async t => {
  const { app, url, port } = await serve(t)
  const [ada, charles] = [connect(t, url), connect(t, url)]
  await Promise.all([isSynced(ada), isSynced(charles)])
  ada.text.insert(0, 'engine')
  await reads(charles, 'engine')

  const codes: unknown[] = []
  for (const { provider } of [ada, charles]) provider.on('connection-close', event => { codes.push(event?.code) })
  await app.close()
  await Promise.all([ada, charles].map(({ provider }) => until(provider, 'status', () => !provider.wsconnected)))
  t.strictSame(codes, [1001, 1001])
  t.equal(docs.size, 0, 'the server has forgotten the document')
  ada.text.insert(0, 'The ')
  charles.text.insert(6, 's')
  charles.doc.getMap('notes').set('by', 'Charles')

  await serve(t, port)
  await Promise.all([reads(ada, 'The engines'), reads(charles, 'The engines')])
  await until(ada.doc, 'update', () => ada.doc.getMap('notes').get('by') === 'Charles')
  t.strictSame(Y.encodeStateVector(ada.doc), Y.encodeStateVector(charles.doc))
})

t.test('a large document in one message, and thousands of small updates behind it', async t => {
  const { url } = await serve(t)
  const ada = connect(t, url)
  await isSynced(ada)
  const large = 'lorem ipsum '.repeat(40_000)
  ada.text.insert(0, large)
  const charles = connect(t, url)
  await reads(charles, large)
  for (let i = 0; i < 3000; i++) ada.text.insert(i, String.fromCharCode(97 + i % 26))
  await reads(charles, ada.text.toString())
  t.equal(charles.text.length, large.length + 3000)
})

t.test('awareness: everybody knows who is here, and who has left, whether with a goodbye or not', async t => {
  const { app, url } = await serve(t)
  const [ada, charles, guest] = [connect(t, url), connect(t, url), connect(t, url)]
  const seenBy = ({ provider }: Editor): string[] => [...provider.awareness.getStates().values()].map(state => state.user as string ?? '').sort()
  const sees = (editor: Editor, names: string[]): Promise<void> =>
    until(editor.provider.awareness, 'change', () => seenBy(editor).join() === names.join())
  ada.provider.awareness.setLocalState({ user: 'Ada' })
  charles.provider.awareness.setLocalState({ user: 'Charles' })
  guest.provider.awareness.setLocalState({ user: 'Guest' })
  for (const editor of [ada, charles, guest]) await sees(editor, ['Ada', 'Charles', 'Guest'])
  ada.provider.awareness.setLocalState({ user: 'Countess' })
  await sees(charles, ['Charles', 'Countess', 'Guest'])

  charles.provider.disconnect()
  await sees(ada, ['Countess', 'Guest'])
  // Its line breaks: no Close frame, nothing that the client says.
  guest.provider.shouldConnect = false
  ;(guest.provider.ws as unknown as WebSocket).terminate()
  await sees(ada, ['Countess'])
  t.equal(app.websocketServer.clients.size, 1)
  charles.provider.connect()
  charles.provider.awareness.setLocalState({ user: 'Charles' })
  await sees(ada, ['Charles', 'Countess'])
})

t.test('what is not of the protocol closes that connection with 1007, and no other', async t => {
  const { url } = await serve(t)
  const ada = connect(t, url)
  await isSynced(ada)
  t.capture(console, 'error')
  const vandal = new WebSocket(`${url}/documents/one`)
  await once(vandal, 'open')
  // Somebody's presence, of which more is announced than there is.
  vandal.send(Uint8Array.of(1, 200, 1, 7))
  t.equal((await once(vandal, 'close'))[0], 1007)
  const charles = connect(t, url)
  ada.text.insert(0, 'unharmed')
  await reads(charles, 'unharmed')
})
