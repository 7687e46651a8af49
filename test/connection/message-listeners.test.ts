import { EventEmitter } from 'node:events'
import t from 'tap'
import type { WebSocketConnection } from '../../lib/index.js'
import { startApp, type Teardown } from '../support/app.js'
import { ping, RawClient, text } from '../support/raw-client.js'

// A connection with one listener of `message` calls it without `emit`. Whatever is added and removed, and however, the
// listeners hear what those of a plain emitter would.

type Emitter = Pick<EventEmitter, 'on' | 'addListener' | 'prependListener' | 'once' | 'prependOnceListener' | 'off' | 'removeListener' | 'removeAllListeners' | 'emit' | 'listeners'>

interface Rig {
  connection: WebSocketConnection
  /** Sends a message, and waits until it is delivered. */
  say: (message: string) => Promise<void>
  errors: unknown[]
}

async function open (t: Teardown): Promise<Rig> {
  let connection!: WebSocketConnection
  const errors: unknown[] = []
  const { port } = await startApp(t, app => { app.get('/', { websocket: true }, opened => { connection = opened }) }, {
    errorHandler: error => { errors.push(error) }
  })
  const client = await RawClient.open(port)
  t.teardown(() => client.destroy())
  return {
    connection,
    errors,
    async say (message) {
      client.write(Buffer.concat([text(message), ping('')]))
      await client.frame()
    }
  }
}

/** A listener that logs what it hears, and then does something. */
function listener (log: string[], name: string, then = (_emitter: Emitter): void => {}): (this: Emitter, data: unknown, isBinary: boolean) => void {
  return function (data, isBinary) {
    log.push(`${name} ${String(data)} ${isBinary}`)
    then(this)
  }
}

type Scenario = (emitter: Emitter, log: string[]) => Array<() => unknown>

const SCENARIOS: Record<string, Scenario> = {
  'one, two, one, none, one' (emitter, log) {
    const [a, b] = [listener(log, 'a'), listener(log, 'b')]
    return [() => emitter.on('message', a), () => emitter.addListener('message', b), () => emitter.off('message', a), () => emitter.removeListener('message', b), () => emitter.on('message', a)]
  },
  'a second before the first' (emitter, log) {
    return [() => emitter.on('message', listener(log, 'a')), () => emitter.prependListener('message', listener(log, 'b')), () => emitter.prependOnceListener('message', listener(log, 'c'))]
  },
  'once, alone and beside another' (emitter, log) {
    return [() => emitter.once('message', listener(log, 'a')), () => {}, () => emitter.once('message', listener(log, 'b')), () => emitter.on('message', listener(log, 'c')), () => {}]
  },
  'all removed, of the event and of all events' (emitter, log) {
    const add = (): unknown => emitter.on('message', listener(log, 'a'))
    return [add, () => emitter.removeAllListeners('message'), add, () => emitter.removeAllListeners(), add, () => emitter.removeAllListeners('ping')]
  },
  'listeners that remove themselves, and add others' (emitter, log) {
    const a = listener(log, 'a', self => self.off('message', a).on('message', b))
    const b = listener(log, 'b', self => self.removeAllListeners('message').once('message', c))
    const c = listener(log, 'c', self => self.on('message', a).on('message', b))
    return [() => emitter.on('message', a), () => {}, () => {}, () => {}, () => {}]
  },
  'a listener that removes another as it is added or removed' (emitter, log) {
    const [a, b] = [listener(log, 'a'), listener(log, 'b')]
    return [
      () => emitter.on('message', a),
      () => emitter.once('newListener', () => emitter.off('message', a)),
      () => emitter.on('message', b),
      () => emitter.once('removeListener', () => emitter.on('message', a)),
      () => emitter.off('message', b)
    ]
  },
  'emit replaced, and put back' (emitter, log) {
    const emit = emitter.emit
    return [
      () => emitter.on('message', listener(log, 'a')),
      () => { emitter.emit = function (event, ...args) { log.push(`emit ${String(event)}`); return emit.call(this, event, ...args as []) } },
      () => emitter.on('message', listener(log, 'b')),
      () => { Reflect.deleteProperty(emitter, 'emit') }
    ]
  }
}

for (const [name, scenario] of Object.entries(SCENARIOS)) {
  t.test(name, async t => {
    const { connection, say, errors } = await open(t)
    const log: string[] = []
    const plain = new EventEmitter()
    const plainLog: string[] = []
    const plainSteps = scenario(plain, plainLog)
    for (const [index, step] of scenario(connection as unknown as Emitter, log).entries()) {
      step()
      plainSteps[index]!()
      await say(`${index}`)
      plain.emit('message', `${index}`, false)
      t.same(log.filter(line => line !== 'emit ping'), plainLog, `after step ${index}`)
    }
    t.ok(log.length > 0)
    t.same(errors, [])
  })
}

t.test('an async listener: each rejection is reported, also when it becomes one only later', async t => {
  const { connection, say, errors } = await open(t)
  connection.on('message', data => {
    const message = String(data)
    if (message === 'thenable') return { then (_: unknown, reject: (reason: string) => void) { reject(message) } }
    return message === 'sync' ? undefined : Promise.reject(message)
  })
  for (const message of ['sync', 'first', 'second', 'sync', 'thenable', 'third']) await say(message)
  t.same(errors.map(error => (error as Error).cause), ['first', 'second', 'thenable', 'third'])
})

t.test('a listener that throws: it is reported, and the next message is delivered', async t => {
  const { connection, say, errors } = await open(t)
  const heard: string[] = []
  connection.on('message', function (data) {
    t.equal(this, connection)
    heard.push(String(data))
    throw new Error(String(data))
  } as (this: WebSocketConnection, data: unknown) => void)
  await say('a')
  t.same(heard, ['a'])
  t.match(errors, [{ message: 'a' }])
})
