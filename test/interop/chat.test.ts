import t from 'tap'
import { createInterface } from 'node:readline'
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import type { ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { inflateSync } from 'node:zlib'
import type { Browser, BrowserContextOptions, Locator, Page } from 'playwright-core'
import { startProgram, stopProgram, type ProcessTest } from '../support/child-process.js'
import { Line } from '../support/line.js'
import { needs } from '../support/system-packages.js'
import { launchChromium } from './clients/chromium.js'
import { Refused, type OpenClient } from './clients/client.js'
import { wsClient } from './clients/ws.js'
import { findPort } from './proxies.js'

// `SCREENSHOTS=1` writes those of the README, in the font that the system has for its own.

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const CLOCK = pathToFileURL(fileURLToPath(new URL('../support/scripted-clock.ts', import.meta.url))).href

const isPhotographed = process.env.SCREENSHOTS !== undefined

// Animations are redrawn all the time even if nobody looks, so only screenshots have them.
const MOTION: BrowserContextOptions = { reducedMotion: isPhotographed ? 'no-preference' : 'reduce' }

const DESKTOP: BrowserContextOptions = { viewport: { width: 1280, height: 800 }, colorScheme: 'light' }
const PHONE: BrowserContextOptions = {
  viewport: { width: 390, height: 844 },
  colorScheme: 'dark',
  hasTouch: true,
  isMobile: true,
  // Four times the pixels take their time to draw, if it is for nobody.
  deviceScaleFactor: isPhotographed ? 2 : 1
}

/** The smallest target that a finger hits, in CSS pixels (WCAG 2.2, 2.5.5). */
const TOUCH_TARGET = 44

/** The example as `npm start` runs it, once the package is built. */
async function startChat (t: ProcessTest, port: number): Promise<{ chat: ChildProcess, lines: AsyncIterator<string> }> {
  if (!existsSync(`${ROOT}/dist/lib/index.js`)) throw new Error('the example runs with the built package: run `npm run build` first')
  // tap adds its loader to the NODE_OPTIONS of every child process; `env -u` takes it out again
  const args = ['-u', 'NODE_OPTIONS', process.execPath, '--import=tsx', `--import=${CLOCK}`, 'examples/chat/server.ts']
  const chat = startProgram(t, 'env', args, { cwd: ROOT, env: { ...process.env, PORT: String(port), LOG_LEVEL: 'warn' } })
  const lines = createInterface({ input: chat.stdout! })[Symbol.asyncIterator]()
  const { value } = await lines.next()
  if (value !== `The chat is at http://127.0.0.1:${port}`) throw new Error(`the example said ${value} in place of its address`)
  return { chat, lines }
}

async function hasFocus (target: Locator): Promise<boolean> {
  return await target.and(target.page().locator(':focus')).count() === 1
}

/** Somebody who sits before a browser of their own. */
class Person {
  readonly name: string
  readonly page: Page
  readonly errors: string[] = []

  constructor (name: string, page: Page) {
    this.name = name
    this.page = page
    page.on('pageerror', error => this.errors.push(String(error)))
    page.on('console', message => {
      // The browser reports violations of the page's Content Security Policy to its console.
      if (/Content Security Policy/.test(message.text())) this.errors.push(message.text())
    })
  }

  static async enter (browser: Browser, url: string, name: string, room: string, options: BrowserContextOptions = {}, guest = name): Promise<Person> {
    const context = await browser.newContext({ locale: 'en-GB', timezoneId: 'UTC', ...MOTION, ...options })
    await context.addInitScript({ path: fileURLToPath(new URL('chat-page.js', import.meta.url)) })
    await context.addCookies([{ name: 'guest', value: guest, url }])
    const person = new Person(name, await context.newPage())
    await person.page.goto(`${url}#${room}`)
    await person.page.getByLabel('Your name').fill(name)
    await person.page.getByRole('button', { name: 'Enter', exact: true }).click()
    await person.is('open')
    return person
  }

  async is (state: 'open' | 'waiting'): Promise<void> {
    await this.page.locator(`#status[data-state=${state}]`).waitFor()
  }

  async goTo (room: string): Promise<void> {
    await this.page.evaluate(`location.hash = ${JSON.stringify(room)}`)
    await this.page.getByRole('heading', { name: room, exact: true }).waitFor()
    await this.page.locator('[role=log][aria-busy=false]').waitFor()
  }

  async say (text: string): Promise<void> {
    await this.text.fill(text)
    await this.text.press('Enter')
  }

  get text (): Locator {
    return this.page.getByRole('textbox', { name: 'Message', exact: true })
  }

  get log (): Locator {
    return this.page.getByRole('log')
  }

  /** Waits until this is to be read, and nothing waits to be sent. */
  async reads (text: string): Promise<void> {
    await this.log.locator('.message:not(.pending) .text').filter({ hasText: text }).waitFor()
  }

  async notices (text: string): Promise<void> {
    await this.log.locator('.notice').filter({ hasText: text }).last().waitFor()
  }

  /** The texts of all messages in the order in which the page shows them. */
  async allRead (): Promise<string[]> {
    return await this.log.locator('.message .text').allInnerTexts()
  }

  async people (): Promise<string[]> {
    return await this.page.locator('#people .name').allTextContents()
  }

  /** Waits until the list of rooms says so. */
  async seesRoom (name: string, people: string): Promise<void> {
    await this.page.locator('#rooms a', { hasText: new RegExp(`^${name}${people}$`) }).waitFor({ state: 'attached' })
  }

  /** Goes on with Tab until the focus is there, as who has no mouse does. */
  async tabTo (target: Locator): Promise<void> {
    for (let i = 0; i < 20; i++) {
      await this.page.keyboard.press('Tab')
      if (await hasFocus(target)) return
    }
    throw new Error('Tab does not get there')
  }
}

/** The fields of the server's messages that these tests read. */
interface Told {
  subscribed?: string
  topic?: string
  id?: string
  at?: string
  published?: string
  refused?: string
  code?: string
  recovered?: boolean | null
  missed?: number
  snapshot?: Array<{ id: string }>
  message?: { type?: string, you?: { name: string, colour: number }, from?: { name: string }, text?: string }
}

/** Somebody without a browser, who speaks the topics protocol. */
class Guest {
  readonly client: OpenClient
  readonly room: string
  you!: { name: string, colour: number }
  /** The answer to the subscription of the room. */
  entered!: Told
  private messages = 0

  private constructor (client: OpenClient, room: string) {
    this.client = client
    this.room = room
  }

  static async enter (port: number, room: string, name: string, guest: string = randomUUID(), since: string | null = null): Promise<Guest> {
    const url = `ws://127.0.0.1:${port}/rooms/${room}?name=${encodeURIComponent(name)}`
    const guestOf = new Guest(await wsClient.open(url, { headers: { Cookie: `guest=${guest}` }, protocols: ['topics.v1'] }), room)
    guestOf.you = (await guestOf.next(({ message }) => message?.type === 'welcome')).message!.you!
    guestOf.send({ subscribe: { lobby: null, [`rooms/${room}`]: since } })
    guestOf.entered = await guestOf.next(({ subscribed }) => subscribed === `rooms/${room}`)
    return guestOf
  }

  send (message: object): void {
    this.client.send(JSON.stringify(message))
  }

  async say (text: string, id = (++this.messages).toString().padStart(31, '0') + Math.random()): Promise<void> {
    this.send({ publish: `rooms/${this.room}`, message: { text }, id })
  }

  type (): void {
    this.send({ publish: `typing/${this.room}`, message: null })
  }

  async next (isMeant: (told: Told) => boolean): Promise<Told> {
    for (;;) {
      const told: Told = JSON.parse((await this.client.next()).toString())
      if (isMeant(told)) return told
    }
  }
}

/** How many different rows of pixels a PNG has. */
function rowsIn (png: Buffer): number {
  const data: Buffer[] = []
  for (let at = 8; at < png.length;) {
    const length = png.readUInt32BE(at)
    if (png.toString('latin1', at + 4, at + 8) === 'IDAT') data.push(png.subarray(at + 8, at + 8 + length))
    at += length + 12
  }
  const pixels = inflateSync(Buffer.concat(data))
  const height = png.readUInt32BE(20)
  const row = pixels.length / height
  const rows = new Set<string>()
  for (let i = 0; i < height; i++) rows.add(pixels.toString('latin1', i * row, (i + 1) * row))
  return rows.size
}

t.test('the chat of examples/chat in Chromium', needs('chromium'), async t => {
  const port = await findPort()
  const url = `http://127.0.0.1:${port}/`
  const [browser, server] = await Promise.all([launchChromium(t), startChat(t, port)])
  const line = await Line.open(t, port)
  const [ada, grace] = await Promise.all([
    Person.enter(browser, url, 'Ada', 'engines', DESKTOP, 'ada-1'),
    Person.enter(browser, `http://127.0.0.1:${line.port}/`, 'Grace', 'engines', PHONE, 'grace-8')
  ])

  const tab = new Person('Ada', await ada.page.context().newPage())
  // A page that nobody sees is slow to draw.
  await ada.page.bringToFront()

  t.test('who is in a room, and in which; somebody with two tabs is there once', async t => {
    await ada.seesRoom('engines', '2 people')
    t.strictSame(await ada.people(), ['Ada', 'Grace'])
    t.strictSame(await grace.people(), ['Ada', 'Grace'])

    await tab.page.goto(`${url}#engines`)
    await tab.seesRoom('engines', '2 people')
    // The list of rooms and that of the room's people are two topics.
    await tab.page.locator('#people .name').nth(1).waitFor()
    t.strictSame(await tab.people(), ['Ada', 'Grace'])
    await tab.say('from my other tab')
    for (const person of [ada, grace, tab]) await person.reads('from my other tab')
    t.equal(await ada.log.locator('.own').count(), 1, 'it is hers in both')
    await ada.goTo('lobby')
    t.strictSame(await tab.people(), ['Ada', 'Grace'], 'one of them is left')
    await ada.goTo('engines')

    const eve = await Guest.enter(port, 'engines', '<i>Eve</i>')
    await ada.notices('<i>Eve</i>')
    t.strictSame(await ada.people(), ['<i>Eve</i>', 'Ada', 'Grace'], 'Ada has not left, and a name is no HTML')
    eve.type()
    await ada.page.getByText('<i>Eve</i> is typing').waitFor()
    eve.client.close()
    await ada.notices('<i>Eve</i> left')
    t.strictSame(await ada.people(), ['Ada', 'Grace'])
    t.notMatch((await ada.log.locator('.notice').allTextContents()).join(), /Ada/)
    t.equal(await ada.page.locator('i').count(), 0)
  })

  t.test('what is said is text and never HTML, and stays in its room', async t => {
    const attack = '<img src=x onerror="document.title = \'hacked\'"><script>document.title = "hacked"</script>'
    await grace.text.pressSequentially('<im')
    await ada.page.getByText('Grace is typing').waitFor()
    await grace.say(attack)
    for (const person of [ada, grace]) {
      await person.reads(attack)
      t.equal((await person.allRead()).at(-1), attack)
      t.equal(await person.log.locator('.messages :is(img, script)').count(), 0)
      t.equal(await person.page.title(), '#engines · Chat')
    }
    t.equal(await ada.page.locator('#typing').textContent(), '', 'who has said it does not type it any more')

    await ada.goTo('elsewhere')
    t.strictSame(await ada.allRead(), [])
    t.strictSame(await ada.people(), ['Ada'])
    await ada.page.getByText('It is quiet in here.').waitFor()
    await ada.goTo('engines')
    t.strictSame(await ada.allRead(), await grace.allRead(), 'who comes gets what was said')
  })

  t.test('all of it by keyboard', async t => {
    const { page, text } = ada
    const { keyboard } = page

    await ada.tabTo(page.getByRole('textbox', { name: 'Name of a room' }))
    await keyboard.type('Ada & the Keys')
    await keyboard.press('Enter')
    await page.getByRole('heading', { name: 'ada-the-keys' }).waitFor()
    t.equal(page.url(), `${url}#ada-the-keys`, 'which can be passed on')
    await ada.seesRoom('ada-the-keys', '1 person')
    t.ok(await hasFocus(text), 'who has come to a room can write')
    await keyboard.type('one line')
    await keyboard.press('Shift+Enter')
    await keyboard.type('and another')
    await keyboard.press('Enter')
    await ada.reads('another')
    t.strictSame(await ada.allRead(), ['one line\nand another'])

    const link = page.getByRole('link', { name: 'engines' })
    await ada.tabTo(link)
    t.not(await page.evaluate('getComputedStyle(document.activeElement).outlineStyle'), 'none', 'where the focus is can be seen')
    await keyboard.press('Enter')
    await page.getByRole('heading', { name: 'engines' }).waitFor()
    t.ok(await hasFocus(text))

    const rename = page.getByRole('button', { name: 'Change my name' })
    await ada.tabTo(rename)
    await keyboard.press('Enter')
    await page.getByRole('dialog').waitFor()
    await keyboard.press('Escape')
    t.ok(await hasFocus(rename), 'back where it came from')
    for (const name of ['Countess', 'Ada']) {
      await rename.focus()
      await keyboard.press('Enter')
      await page.getByLabel('Your name').fill(name)
      await keyboard.press('Enter')
      await grace.page.locator('#people .name').filter({ hasText: new RegExp(`^${name}$`) }).waitFor({ state: 'attached' })
      await text.and(page.locator(':focus')).waitFor()
    }
    t.equal(await grace.log.getByText('Countess').count(), 0, 'nobody has come or gone')
  })

  t.test('who reads what was said before stays there, until he wants to see what is new', async t => {
    await Promise.all([ada.goTo('long'), grace.goTo('long')])
    const texts = Array.from({ length: 8 }, (_, i) => `number ${i}\n\n\nand a word more`)
    // Faster than anybody types: all in one task of the page.
    const notes = await grace.page.evaluate(`for (const text of ${JSON.stringify(texts)}) {
      document.getElementById('text').value = text
      document.getElementById('composer').requestSubmit()
    }
    [...document.querySelectorAll('.pending .note')].filter(note => note.checkVisibility()).map(note => note.textContent)`)
    t.strictSame(notes, ['Sending 8 messages…'], 'what takes its time is explained')
    await ada.reads('number 7')
    t.strictSame(await ada.allRead(), texts)
    t.ok(await ada.page.evaluate("inspect.isOnScreen('.message:last-child')"), 'the newest is in sight')

    await ada.page.evaluate("document.getElementById('scroller').scrollTop = 40")
    const pill = ada.page.locator('#newer')
    await grace.say('one more')
    await pill.filter({ hasText: /^1 new message$/ }).waitFor()
    await grace.say('and one more')
    await pill.filter({ hasText: /^2 new messages$/ }).waitFor()
    t.equal(await ada.page.evaluate("document.getElementById('scroller').scrollTop"), 40)
    await pill.click()
    await pill.waitFor({ state: 'hidden' })
    t.ok(await ada.page.evaluate("inspect.isOnScreen('.message:last-child')"))
  })

  t.test('on a phone', async t => {
    const { page, text } = grace
    const inspect = (call: string): Promise<unknown> => page.evaluate(`inspect.${call}`)
    await ada.say('https://example.com/' + 'averylongword'.repeat(20))
    await grace.reads('averylongword')
    t.equal(await inspect('excessWidth()'), 0, 'nothing is wider than the screen')
    t.ok(await inspect("isOnScreen('#composer')"))
    t.strictSame(await inspect(`smallTargets(${TOUCH_TARGET})`), [])
    const sizes = await page.evaluate("[...document.querySelectorAll('input, textarea')].map(field => getComputedStyle(field).fontSize)")
    t.strictSame(sizes, ['16px', '16px', '16px'], 'a phone does not zoom in on what is written')

    // The keyboard comes up.
    await text.tap()
    await page.setViewportSize({ width: 390, height: 420 })
    while (!await inspect("isOnScreen('#composer') && inspect.isOnScreen('.message:last-child')"));
    await text.fill('from a phone')
    await page.getByRole('button', { name: 'Send' }).tap()
    await ada.reads('from a phone')
    t.ok(await hasFocus(text), 'the keyboard stays')
    await page.setViewportSize(PHONE.viewport!)

    const sidebar = page.locator('#sidebar')
    t.notOk(await sidebar.isVisible())
    await page.getByRole('button', { name: 'Rooms and people' }).tap()
    await sidebar.waitFor()
    t.equal(await inspect('excessWidth()'), 0)
    t.strictSame(await inspect(`smallTargets(${TOUCH_TARGET})`), [])
    t.strictSame(await inspect('faintTexts()'), [])
    await page.keyboard.press('Escape')
    await sidebar.waitFor({ state: 'hidden' })
    await page.getByRole('button', { name: 'Rooms and people' }).tap()
    await page.getByRole('link', { name: /^long/ }).tap()
    await sidebar.waitFor({ state: 'hidden' })
  })

  t.test('a connection that is lost: what was written meanwhile is sent, and what was said is caught up with, once', async t => {
    await Promise.all([ada.goTo('tunnel'), grace.goTo('tunnel')])
    await grace.say('before')
    await ada.reads('before')
    line.deafen()
    await grace.say('the answer to this is lost')
    await ada.reads('the answer to this is lost')
    // The next try of the page itself is minutes away: nothing but the button brings it back.
    await grace.page.evaluate('window.random = Math.random; Math.random = () => 1000')
    line.cut()
    await grace.is('waiting')
    await ada.notices('Grace left')
    await grace.page.getByRole('alert').filter({ hasText: 'The connection is lost.' }).waitFor()
    await grace.say('first')
    await grace.say('second')
    await grace.page.getByText('Not sent yet').last().waitFor()
    await ada.say('where are you?')
    t.strictSame(await grace.page.evaluate('inspect.faintTexts()'), [], 'what waits can be read all the same')

    line.mend()
    await grace.page.getByRole('button', { name: 'Try now' }).tap()
    await grace.page.evaluate('Math.random = window.random')
    const said = ['before', 'the answer to this is lost', 'where are you?', 'first', 'second']
    for (const person of [ada, grace]) {
      await person.reads('second')
      t.strictSame(await person.allRead(), said, person.name)
    }
    t.equal(await grace.page.getByText('Not sent yet').count(), 0)
    t.notOk(await grace.page.locator('#trouble').isVisible())
    t.strictSame(await ada.people(), ['Ada', 'Grace'])
  })

  t.test('an address in a message is a link', async t => {
    await ada.goTo('links')
    const text = 'see https://example.com/wiki/Chat_(online), or (http://example.com/?q=1#top).'
    await ada.say(text)
    await ada.reads('see')
    const links = ada.log.locator('.text a')
    t.strictSame(await links.allInnerTexts(), ['https://example.com/wiki/Chat_(online)', 'http://example.com/?q=1#top'])
    for (const link of await links.all()) {
      t.equal(await link.getAttribute('href'), await link.innerText())
      t.equal(await link.getAttribute('target'), '_blank')
      t.equal(await link.getAttribute('rel'), 'noopener noreferrer')
    }
    t.strictSame(await ada.allRead(), [text], 'nothing of the text is lost')

    const addresses: [text: string, links: string[]][] = [
      ['HTTPS://Example.com/A', ['HTTPS://Example.com/A']],
      ['“https://example.com/a”, <https://example.com/b>', ['https://example.com/a', 'https://example.com/b']],
      ['[text](https://example.com/a)or more', ['https://example.com/a']],
      ['https://example.com/a_(b(c))... and http://[::1]:80/[x]?!', ['https://example.com/a_(b(c))', 'http://[::1]:80/[x]']],
      ['https://example.com/(see', ['https://example.com/']],
      ['https://example.com/a（见）。https://example.com/b）', ['https://example.com/a（见）。https://example.com/b']],
      ['https://例え.jp/路?q=ü', ['https://例え.jp/路?q=ü']],
      ['https://example.com/\u202egpj.exe', ['https://example.com/']],
      ['https:// http://. https://: https://a:b@example.com/ https://example.com@evil.example/', []],
      ['javascript:alert(1) data:text/html,x ftp://example.com xhttps://example.com //example.com file:///etc/passwd', []],
      ['https://example.com/' + '.'.repeat(1900), ['https://example.com/']],
      ['https://example.com/' + '('.repeat(1900), ['https://example.com/']]
    ]
    for (const [text, links] of addresses) {
      const pieces = await ada.page.evaluate(`import('./links.js').then(({ withLinks }) => withLinks(${JSON.stringify(text)})
        .map(piece => typeof piece === 'string' ? piece : { link: piece.textContent, scheme: piece.protocol, children: piece.childElementCount }))`) as (string | { link: string })[]
      t.strictSame(pieces.filter(piece => typeof piece !== 'string').map(piece => piece.link), links, text.slice(0, 100))
      for (const piece of pieces) if (typeof piece !== 'string') t.match(piece, { scheme: /^https?:$/, children: 0 })
      t.equal(pieces.map(piece => typeof piece === 'string' ? piece : piece.link).join(''), text)
    }
  })

  t.test('nothing is cut off: what is too long says so, and what becomes of the name of a room is to be seen', async t => {
    await ada.goTo('limits')
    const { page, text } = ada
    const rename = page.getByRole('button', { name: 'Change my name' })
    const long = 'é'.repeat(1999) + '🙂'
    await text.fill(long.slice(2).trim())
    t.equal(await page.locator('#text-limit').textContent(), '1998 of 2000')
    await text.fill(`${long}!!!`)
    t.equal(await page.locator('#text-limit').textContent(), '3 characters too many')
    await text.press('Enter')
    t.equal(await text.inputValue(), `${long}!!!`, 'it stays there')
    t.strictSame(await ada.allRead(), [])
    await ada.say(long)
    await ada.reads('🙂')
    t.strictSame(await ada.allRead(), [long])
    t.equal(await page.locator('#text-limit').textContent(), '')

    await rename.press('Enter')
    const name = page.getByLabel('Your name')
    for (const [wanted, limit] of [['A'.repeat(23), '23 of 24'], ['A'.repeat(30), '6 characters too many'], ['\u202e\u3164 \u200b', '']] as const) {
      await name.fill(wanted)
      t.equal(await page.locator('#name-limit').textContent(), limit)
      await name.press('Enter')
      t.equal(await name.isVisible(), limit !== '23 of 24')
      if (limit === '23 of 24') await rename.press('Enter')
    }
    await name.fill('A\u202eda\u2066')
    await name.press('Enter')
    await grace.goTo('limits')
    await grace.page.locator('#people .name').filter({ hasText: /^Ada$/ }).waitFor({ state: 'attached' })
    await page.waitForFunction("localStorage.getItem('name') === 'Ada'")

    const room = page.getByRole('textbox', { name: 'Name of a room' })
    const hint = page.locator('#new-room-name')
    await room.fill('Ada & the Keys')
    t.equal(await hint.textContent(), 'Opens ada-the-keys')
    await room.fill('हिन्दी')
    t.equal(await hint.textContent(), '', 'it is taken as it is')
    for (const [refused, says] of [['r'.repeat(33), '1 character too many'], ['!?', 'Rooms have letters or digits in their names']] as const) {
      await room.fill(refused)
      await room.press('Enter')
      t.equal(await room.inputValue(), refused)
      await page.getByText(says).waitFor()
    }
    await page.getByRole('heading', { name: 'limits', exact: true }).waitFor()
    await room.fill('हिन्दी')
    await room.press('Enter')
    await page.getByRole('heading', { name: 'हिन्दी', exact: true }).waitFor()
    await ada.seesRoom('हिन्दी', '1 person')
    await page.evaluate(`location.hash = '${'r'.repeat(40)}'`)
    await page.getByRole('heading', { name: 'r'.repeat(32), exact: true }).waitFor()
    await ada.log.getByText('The address has a longer name').waitFor()
  })

  t.test('a name that looks like another, and colours of those who are there together', async t => {
    const names = [['A\u202eda\u2069\u200b', 'Ada'], ['\u3164Eve\u00ad \t Moore\u2028', 'Eve Moore'], ['👩\u200d💻 Zoë', '👩\u200d💻 Zoë'], ['نور', 'نور']] as const
    for (const [name, shown] of names) {
      const guest = await Guest.enter(port, 'names', name)
      t.equal(guest.you.name, shown)
      guest.client.close()
    }
    const guests: Guest[] = []
    for (let i = 0; i < 13; i++) guests.push(await Guest.enter(port, 'colours', `${i}`))
    const colours = guests.map(({ you }) => you.colour)
    for (const guest of guests) guest.client.close()
    t.equal(new Set(colours.slice(0, 12)).size, 12)
    t.ok(colours.includes(colours[12]!), 'there are no more')
  })

  t.test('a page that is offline says so at once, and on narrow screens nothing wraps that has one line', async t => {
    const tunnel = await Line.open(t, port)
    const options: BrowserContextOptions = { viewport: { width: 320, height: 640 }, isMobile: true, hasTouch: true }
    const edith = await Person.enter(browser, `http://127.0.0.1:${tunnel.port}/`, 'Edith', 'narrow', options)
    const { page } = edith
    const wilhelmina = await Guest.enter(port, 'narrow', 'Wilhelmina Hohenzollern')
    await edith.say(`https://example.com/${'averylongword'.repeat(20)}`)
    for (let i = 0; i < 12; i++) await wilhelmina.say(`number ${i}\n\n\n${'and a few words more '.repeat(3)}`)
    await edith.reads('number 11')

    const state = await page.evaluate("dispatchEvent(new Event('offline')), document.getElementById('state').textContent")
    t.equal(state, 'Not connected')
    await edith.is('open')

    await page.evaluate("document.getElementById('scroller').scrollTop = 40")
    for (const text of ['one more', 'and another']) await wilhelmina.say(text)
    await page.locator('#newer', { hasText: '2 new messages' }).waitFor()
    // The next try is minutes away, and the time passes as we say.
    await page.evaluate('Math.random = () => 1000')
    await page.clock.install()
    await wilhelmina.say('and a last one')
    await edith.reads('and a last one')
    tunnel.deafen()
    await page.clock.fastForward(5_000)
    await edith.is('waiting')
    await page.locator('#retry').waitFor()
    await edith.text.fill('x'.repeat(2340))

    for (const [width, height] of [[320, 640], [360, 740], [1280, 800]] as const) {
      await page.setViewportSize({ width, height })
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme })
        t.strictSame(await page.evaluate("inspect.wrapped('time, #newer, #retry, #countdown, #state, #text-limit')"), [], `${width} px`)
        t.equal(await page.evaluate('inspect.excessWidth()'), 0, `${width} px`)
        for (const id of ['newer', 'retry', 'text-limit', 'send']) t.ok(await page.evaluate(`inspect.isOnScreen('#${id}')`), `${width} px: ${id}`)
        t.strictSame(await page.evaluate('inspect.faintTexts()'), [], `${width} px, ${colorScheme}`)
      }
    }
    t.ok(await page.locator('#newer').isVisible())
    t.strictSame(edith.errors, [])
    wilhelmina.client.close()
    await page.context().close()
  })

  t.test('the page of another site, a name or a room that cannot be, and messages that are none', async t => {
    const ws = `ws://127.0.0.1:${port}/rooms`
    const refusal = async (path: string, headers = {}): Promise<number | null> => {
      const error: unknown = await wsClient.open(`${ws}${path}`, { headers }).then(() => null, error => error)
      return error instanceof Refused ? error.status : null
    }
    t.equal(await refusal('/lobby'), 400)
    t.equal(await refusal('/lobby?name=%20'), 400)
    t.equal(await refusal(`/lobby?name=${encodeURIComponent('\u202e\u3164 \u200b')}`), 400)
    for (const room of ['No Room', 'a\u200bb', '\u202eabc', '\u3164', 'r'.repeat(33)]) t.equal(await refusal(`/${encodeURIComponent(room)}?name=x`), 400, room)
    t.equal(await refusal('/lobby?name=x', { Origin: 'https://elsewhere.example' }), 403)

    const long = await wsClient.open(`${ws}/wrong?name=x`)
    long.send('x'.repeat(16 * 1024 + 1))
    t.equal((await long.closed).code, 1009)
    const eve = await Guest.enter(port, 'wrong', 'Eve')
    const id = 'mine'
    for (const [message, code] of [
      [{ publish: 'rooms/wrong', message: { text: ' ' }, id }, 'FST_WS_ERR_INVALID_MESSAGE'],
      [{ publish: 'rooms/wrong', message: { text: 'x', from: 'Ada' }.text, id }, 'FST_WS_ERR_INVALID_MESSAGE'],
      [{ publish: 'rooms/another', message: { text: 'x' }, id }, 'OTHER_ROOM'],
      [{ publish: 'lobby', message: { text: 'x' }, id }, 'FST_WS_ERR_NO_PUBLISH'],
      [{ subscribe: { 'rooms/another': null } }, 'OTHER_ROOM'],
      [{ subscribe: { 'rooms/No Room': null } }, 'FST_WS_ERR_TOPIC_PARAMS']
    ] as const) {
      eve.send(message)
      t.equal((await eve.next(({ refused }) => refused !== undefined)).code, code)
    }
    eve.client.close()
  })

  t.test('the server keeps the latest messages, and knows one that comes twice', async t => {
    const idOf = (i: number): string => i.toString(16).padStart(32, '0')
    const [one, other] = [await Guest.enter(port, 'history', 'one'), await Guest.enter(port, 'history', 'other')]
    for (const i of [0, 1, 0, 2]) {
      await one.say(`number ${i}`, idOf(i))
      await one.next(({ published }) => published === idOf(i))
    }
    const told: Told[] = []
    for (let i = 0; i < 3; i++) told.push(await other.next(({ topic }) => topic === 'rooms/history'))
    t.match(told, [0, 1, 2].map(i => ({ id: idOf(i), message: { from: { name: 'one' }, text: `number ${i}` } })), 'the others get each once')

    // No more than the limit lets through of each.
    let near = ''
    for (let i = 100; i < 220; i += 60) {
      const talker = await Guest.enter(port, 'history', 'talker')
      for (let n = i; n < i + 60; n++) await talker.say(`number ${n}`, idOf(n))
      for (let n = i; n < i + 60; n++) {
        const { at } = await talker.next(({ published }) => published === idOf(n))
        if (n === 217) near = at!
      }
      talker.client.close()
    }
    const back = await Guest.enter(port, 'history', 'late', 'late-1', near)
    t.match(back.entered, { recovered: true, missed: 2 })
    const late = await Guest.enter(port, 'history', 'late', 'late-1', 'another.1.x')
    t.equal(late.entered.recovered, false)
    t.strictSame(late.entered.snapshot!.map(({ id }) => id), Array.from({ length: 100 }, (_, i) => idOf(120 + i)))
    for (const guest of [back, late, other]) guest.client.close()

    for (let n = 0; n < 250; n++) one.type()
    t.equal((await one.client.closed).code, 1008, 'a client that floods is closed')
  })

  t.test('a conversation', async t => {
    const [mira, jonas] = [await Guest.enter(port, 'release', 'Mira', 'mira-18'), await Guest.enter(port, 'release', 'Jonas', 'jonas-20')]
    for (const [room, people] of [['design', 3], ['lobby', 5], ['music', 2]] as const) {
      for (let i = 0; i < people; i++) await Guest.enter(port, room, `${i}`, `${room}-${i}`)
    }
    await grace.goTo('release')
    await ada.goTo('release')
    const day = new Date().toISOString().slice(0, 10)
    const script: [string, Person | Guest, string][] = [
      ['09:12', mira, 'Good morning! The new build has been running all night.'],
      ['09:14', jonas, 'Even when I pulled the plug?'],
      ['09:15', mira, 'Especially then. Everybody was back within two seconds, and nothing was said twice.'],
      ['09:31', ada, 'I read the reconnect code on the train. Lovely how little there is of it.'],
      ['09:31', ada, 'Shall we ship it before lunch?'],
      ['09:33', grace, 'Yes, please. I’m on the tram, in a tunnel half of the time.'],
      ['09:33', grace, 'So if you can read this, it works.'],
      ['09:36', ada, 'I can, and only once. Then let’s go: I’m tagging it now.']
    ]
    for (const [time, who, text] of script) {
      server.chat.stdin!.write(`${day}T${time}Z\n`)
      await server.lines.next()
      await who.say(text)
      await ada.reads(text)
    }
    await grace.reads('I’m tagging it now.')
    t.strictSame(await ada.log.locator('.first time').allInnerTexts(), ['09:12', '09:14', '09:15', '09:31', '09:33', '09:36'])
    t.equal(await ada.log.locator('.message').count(), script.length)
    for (const person of isPhotographed ? [ada, grace] : [tab]) {
      await person.page.locator('#latency', { hasText: /^[\d.]+ ms$/ }).waitFor()
    }
    await tab.page.close()
    t.strictSame(await ada.page.evaluate('inspect.faintTexts()'), [])
    t.strictSame(await grace.page.evaluate('inspect.faintTexts()'), [])

    for (const [person, name] of [[ada, 'desktop'], [grace, 'phone']] as const) {
      jonas.type()
      await person.page.getByText('Jonas is typing').waitFor()
      const png = await person.page.screenshot({ animations: 'disabled' })
      t.ok(rowsIn(png) > 100, 'it is not blank')
      if (!isPhotographed) continue
      await mkdir(`${ROOT}/docs/images`, { recursive: true })
      await writeFile(`${ROOT}/docs/images/chat-${name}.png`, png)
    }
  })

  t.test('a server that is started again', async t => {
    await Promise.all([ada.goTo('patience'), grace.goTo('patience')])
    await ada.say('see you on the other side')
    await grace.reads('see you on the other side')
    line.deafen()
    await grace.say('has this arrived?')
    await ada.reads('has this arrived?')
    line.cut()
    await stopProgram(server.chat, 'SIGTERM')
    t.equal(server.chat.exitCode, 0, 'it ends by itself when it is asked to')
    for (const person of [ada, grace]) await person.is('waiting')
    const written = ['one', 'two', 'three']
    for (const text of written) await ada.say(text)
    // It outlives the page.
    t.equal(JSON.parse(await ada.page.evaluate("sessionStorage.getItem('outbox')")).length, 3)

    await startChat(t, port)
    line.mend()
    for (const person of [ada, grace]) {
      await person.is('open')
      await person.reads('three')
      await person.reads('has this arrived?')
    }
    await ada.seesRoom('patience', '2 people')
    t.strictSame(await ada.people(), ['Ada', 'Grace'])
    await grace.say('there you are')
    for (const person of [ada, grace]) await person.reads('there you are')
    // The new server does not know that Ada has it, and she gets it again.
    t.strictSame(await ada.allRead(), ['see you on the other side', 'has this arrived?', ...written, 'there you are'])
    // The client that reconnected first sent its message first.
    const read = await grace.allRead()
    t.strictSame(read.filter(text => text !== 'has this arrived?'), ['see you on the other side', ...written, 'there you are'])
    t.equal(read.length, 6)
  })

  t.test('neither page had an error', async t => {
    for (const person of [ada, grace]) t.strictSame(person.errors, [], person.name)
  })
})
