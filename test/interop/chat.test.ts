import t from 'tap'
import { createInterface } from 'node:readline'
import { existsSync } from 'node:fs'
import type { ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Browser, Locator, Page } from 'playwright-core'
import { startProgram, stopProgram, type ProcessTest } from '../support/child-process.js'
import { needs } from '../support/system-packages.js'
import { launchChromium } from './clients/chromium.js'
import { Refused } from './clients/client.js'
import { wsClient } from './clients/ws.js'
import { findPort } from './proxies.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** The example as `npm start` runs it, once the package is built. */
async function startChat (t: ProcessTest, port: number): Promise<{ url: string, chat: ChildProcess }> {
  if (!existsSync(`${ROOT}/dist/lib/index.js`)) throw new Error('the example runs with the built package: run `npm run build` first')
  // tap adds its loader to the NODE_OPTIONS of every child process; `env -u` takes it out again
  const chat = startProgram(t, 'env', ['-u', 'NODE_OPTIONS', process.execPath, '--import', 'tsx', 'examples/chat/server.ts'], {
    cwd: ROOT,
    env: { ...process.env, PORT: String(port) }
  })
  for await (const line of createInterface({ input: chat.stdout! })) {
    const url = /http:\/\/\S+/.exec(line)?.[0]
    if (url !== undefined) return { url, chat }
  }
  throw new Error('the example ended without telling its address')
}

/** Somebody who sits before a browser of their own. */
class Person {
  readonly name: string
  readonly page: Page

  private constructor (name: string, page: Page) {
    this.name = name
    this.page = page
  }

  static async enter (browser: Browser, url: string, name: string, room: string): Promise<Person> {
    const person = new Person(name, await (await browser.newContext()).newPage())
    await person.page.goto(url)
    await person.page.getByTestId('name').fill(name)
    await person.page.getByTestId('room').fill(room)
    await person.page.getByTestId('enter').click()
    await person.isConnected()
    return person
  }

  async isConnected (): Promise<void> {
    await this.page.locator('[data-testid=status][data-state=open]').waitFor()
  }

  async say (text: string): Promise<void> {
    await this.page.getByTestId('text').fill(text)
    await this.page.getByTestId('send').click()
  }

  get messages (): Locator {
    return this.page.getByTestId('messages').locator('li')
  }

  /** Waits until this is the last thing to be read. */
  async reads (text: string): Promise<void> {
    await this.messages.last().filter({ hasText: text }).waitFor()
  }

  async allRead (): Promise<string[]> {
    return (await this.messages.allInnerTexts()).map(text => text.replace(/\s+/g, ' ').trim())
  }

  async peopleSeen (): Promise<string[]> {
    return await this.page.getByTestId('people').locator('li').allInnerTexts()
  }
}

t.test('the chat of examples/chat in Chromium', needs('chromium'), async t => {
  const browser = await launchChromium(t)
  const port = await findPort()
  const { url, chat } = await startChat(t, port)

  t.test('two in a room see each other, and what they say; others do not', async t => {
    const ada = await Person.enter(browser, url, 'Ada', 'engines')
    const else_ = await Person.enter(browser, url, 'Eve', 'elsewhere')
    const charles = await Person.enter(browser, url, 'Charles', 'engines')
    await ada.reads('Charles is here')
    t.strictSame(await ada.peopleSeen(), ['Ada', 'Charles'])
    t.strictSame(await charles.peopleSeen(), ['Ada', 'Charles'])

    await ada.say('Does it weave? \u{1f9f5}')
    await charles.reads('Does it weave? \u{1f9f5}')
    await charles.say('<b>algebraical patterns</b>')
    await ada.reads('<b>algebraical patterns</b>')
    t.strictSame(await ada.allRead(), [
      'Ada is here', 'Charles is here', 'Ada Does it weave? \u{1f9f5}', 'Charles <b>algebraical patterns</b>'
    ])
    t.strictSame(await charles.allRead(), ['Charles is here', 'Ada Does it weave? \u{1f9f5}', 'Charles <b>algebraical patterns</b>'])
    t.strictSame(await else_.allRead(), ['Eve is here'])

    await charles.page.getByTestId('leave').click()
    await ada.reads('Charles has left')
    t.strictSame(await ada.peopleSeen(), ['Ada'])
    await else_.page.close()
    await ada.page.close()
  })

  t.test('a hundred messages arrive in order', async t => {
    const one = await Person.enter(browser, url, 'One', 'order')
    const other = await Person.enter(browser, url, 'Other', 'order')
    await one.reads('Other is here')
    const form = '[data-testid=say]'
    // Faster than anybody types: all in one task of the page.
    await one.page.evaluate(`for (let i = 0; i < 100; i++) {
      document.querySelector('[data-testid=text]').value = 'number ' + i
      document.querySelector('${form}').requestSubmit()
    }`)
    await other.reads('number 99')
    t.strictSame((await other.allRead()).slice(-100), Array.from({ length: 100 }, (_, i) => `One number ${i}`))
    await one.page.close()
    await other.page.close()
  })

  t.test('who comes without a name, or to a room that cannot be, is refused over HTTP', async t => {
    const ws = url.replace(/^http/, 'ws')
    for (const path of ['/chat/lobby', '/chat/lobby?name=', '/chat/No%20Room?name=x']) {
      const error = await wsClient.open(`${ws}${path}`).then(() => null, (error: unknown) => error)
      t.ok(error instanceof Refused && error.status === 400, path)
    }
    const error = await wsClient.open(`${ws}/chat/lobby?name=x`, { headers: { Origin: 'https://elsewhere.example.test' } }).then(() => null, (error: unknown) => error)
    t.ok(error instanceof Refused && error.status === 403, 'from the page of another site')
  })

  t.test('the page comes back when the server does', async t => {
    const ada = await Person.enter(browser, url, 'Ada', 'patience')
    const charles = await Person.enter(browser, url, 'Charles', 'patience')
    await stopProgram(chat, 'SIGTERM')
    t.equal(chat.exitCode, 0, 'the server ends by itself when it is asked to')
    await ada.page.locator('[data-testid=status][data-state=waiting]').waitFor()
    await startChat(t, port)
    await ada.isConnected()
    await charles.isConnected()
    await ada.page.getByTestId('people').locator('li', { hasText: 'Charles' }).waitFor()
    await charles.page.getByTestId('people').locator('li', { hasText: 'Ada' }).waitFor()
    await ada.say('There you are')
    await charles.reads('There you are')
    t.equal((await charles.allRead()).at(-1), 'Ada There you are')
  })
})
