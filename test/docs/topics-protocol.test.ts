import Fastify from 'fastify'
import type { Test } from 'tap'
import { ERRORS, RefusedError } from '../../lib/errors.js'
import websocket from '../../lib/index.js'
import { reasonOf } from '../../lib/topics-protocol/reasons.js'
import { cellsOf, type Example } from '../support/examples.js'
import { ProtocolClient, type Message } from '../topics-protocol/support.js'
import { runChecks } from './support.js'

interface Line {
  readonly isFromServer: boolean
  readonly message: Message
}

function readExchange (t: Test, { text }: Example): Line[] {
  return text.trim().split('\n').map(line => {
    const [, side, json] = /^([<>]) (\{.*\})$/.exec(line)!
    const message = JSON.parse(json!) as Message
    t.equal(JSON.stringify(message), json, 'written without spaces')
    return { isFromServer: side === '<', message }
  })
}

const POSITION = /^[\w-]+\.[0-9a-z]+\.[!-~]*$/

/** The message with its form in place of what differs from run to run: ids that the server makes, and positions. */
function formOf (message: Message): string {
  const form = (value: unknown, name: string): unknown => {
    if (name === 'at' && value !== null) return POSITION.test(String(value)) ? 'position' : value
    if (name === 'members') return (value as object[]).length
    if (name === 'id' && typeof value === 'string' && !/^[0-9a-f]{4}$/.test(value)) return 'id'
    return value
  }
  return JSON.stringify(message, (name, value: unknown) => form(value, name))
}

async function startServer (t: Test) {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(websocket)
  const nameOf = (query: unknown): string => (query as { name: string }).name
  app.topic<{ Publish: { text: string }, Message: { by: string, text: string } }>('rooms/:room', {
    history: { messages: 100, seconds: 60 },
    presence: { info: (_connection, request) => ({ name: nameOf(request.query) }) },
    onPublish: (_connection, { text }, _params, request) => ({ by: nameOf(request.query), text })
  })
  app.topic('prices')
  app.get('/live', { websocket: { topics: { beat: 16 } } })
  // The timer of beats does not keep a process that has no server.
  await app.listen({ port: 0, host: '127.0.0.1' })
  return app
}

type App = Awaited<ReturnType<typeof startServer>>

/** Plays one side of the exchange, and compares the messages of the server with what is printed, those of one turn in any order. */
async function play (t: Test, lines: Line[], client: ProtocolClient, before: (expected: Message) => unknown): Promise<void> {
  const turns: Message[][] = []
  for (const { isFromServer, message } of lines) {
    if (!isFromServer) turns.push([message])
    else turns.at(-1)!.push(message)
  }
  for (const [request, ...expected] of turns) {
    client.send(request)
    const got: string[] = []
    for (const message of expected) {
      await before(message)
      if (Object.keys(message).length === 0) await client.beat()
      else got.push(formOf(await client.next()))
    }
    t.strictSame(got.sort(), expected.filter(message => Object.keys(message).length > 0).map(formOf).sort())
  }
}

async function open (t: Test, app: App, name: string, { message: { hello } }: Line): Promise<ProtocolClient> {
  t.strictSame(Object.keys(hello as object), ['version', 'id', 'beat', 'maxSubscriptions', 'maxMessage'])
  return await ProtocolClient.open(t, app as never, `/live?name=${name}`)
}

runChecks({
  // The table has each code of the protocol once, and says rightly whether to try again.
  async 'topics protocol refusals' (t, { text }) {
    const rows = cellsOf(text).map(([code, , retry]) => [code!.replaceAll('`', ''), retry!.replaceAll('`', '') === 'true'] as const)
    for (const [code, retry] of rows) t.equal(reasonOf({ code, message: '' }).retry, retry, code)
    const codes = rows.map(([code]) => code)
    t.equal(new Set(codes).size, codes.length, 'each once')
    const ofProtocol = Object.entries(ERRORS).filter(([, { errorClass }]) => errorClass === RefusedError).map(([code]) => code)
    t.strictSame(ofProtocol.filter(code => !codes.includes(code)), [], 'none is missing')
    t.strictSame(codes.filter(code => !(code in ERRORS)), [], 'each is one of ours')
  },

  async 'topics protocol exchange' (t, example) {
    const [hello, ...lines] = readExchange(t, example)
    const app = await startServer(t)
    const ada = await open(t, app, 'Ada', hello!)
    await play(t, lines, ada, async message => {
      if ('joined' in message) (await ProtocolClient.open(t, app as never, '/live?name=Bob')).send({ subscribe: { 'rooms/42': null } })
      if (message.topic === 'prices') await app.websocketServer.publish('prices', message.message)
    })
  },

  async 'topics protocol resume' (t, example) {
    const [hello, ...lines] = readExchange(t, example)
    const app = await startServer(t)
    const before = await open(t, app, 'Ada', hello!)
    const { client } = lines[0]!.message
    before.send({ subscribe: { 'rooms/42': null }, client })
    await before.next()
    const bob = await ProtocolClient.open(t, app as never, '/live?name=Bob')
    await bob.ask({ subscribe: { 'rooms/42': null } })
    const { at } = await bob.ask({ publish: 'rooms/42', message: { text: 'hello' }, id: '0b7e' })
    before.socket.terminate()
    for (const { message: { topic, message, id } } of lines) if (topic !== undefined) bob.send({ publish: topic, message, id })
    await bob.settle()
    const [subscribe, ...others] = lines
    subscribe!.message.subscribe = { ...subscribe!.message.subscribe as object, 'rooms/42': at }
    await play(t, [subscribe!, ...others], await open(t, app, 'Ada', hello!), () => {})
  }
})
