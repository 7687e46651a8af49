import Fastify from 'fastify'
import t from 'tap'
import { runInNewContext } from 'node:vm'
import type { OriginPolicy, VerifyClient, WebSocketConnection, WebSocketPluginOptions } from '../../lib/index.js'
import { startApp, type Teardown } from '../support/app.js'
import { connectHttp2, extendedConnect, responseHeaders } from '../support/http2-client.js'
import { close, RawClient, text, upgradeRequest } from '../support/raw-client.js'
import { gate } from '../support/server-sockets.js'

// Functions of users may return whatever they like: promises of another realm, thenables, or values that merely look like
// a yes. Only `true` lets a client in, and no rejection is lost.

/** A thenable that is no promise, as query builders have it. */
function thenable (settle: (resolve: (value: unknown) => void, reject: (error: unknown) => void) => void): PromiseLike<unknown> {
  return { then: (resolve: (value: unknown) => void, reject: (error: unknown) => void) => { setImmediate(settle, resolve, reject) } } as unknown as PromiseLike<unknown>
}

const getterThrows = {
  get then (): never { throw new Error('from then') }
}

const revoked = Proxy.revocable({}, {})
revoked.revoke()

/** What a function answers, and whether that lets the client in: `null` is a 500. */
const ANSWERS: Record<string, [answer: () => unknown, isAllowed: boolean | null]> = {
  true: [() => true, true],
  false: [() => false, false],
  undefined: [() => undefined, false],
  null: [() => null, false],
  1: [() => 1, false],
  NaN: [() => NaN, false],
  'no, as a string': [() => 'no', false],
  'an object': [() => ({}), false],
  'a function': [() => () => true, false],
  'a symbol': [() => Symbol('yes'), false],
  'a Boolean object': [() => Object(true), false],
  'an object with a then that is no function': [() => ({ then: true }), false],
  'a promise of true': [async () => true, true],
  'a promise of a string': [async () => 'no', false],
  'a promise of a function': [async () => () => true, false],
  'a promise of another realm, of true': [() => runInNewContext('Promise.resolve(true)'), true],
  'a promise of another realm, of false': [() => runInNewContext('Promise.resolve(false)'), false],
  'a rejection of another realm': [() => runInNewContext('Promise.reject(new Error("boom"))'), null],
  'a thenable of true': [() => thenable(resolve => resolve(true)), true],
  'a thenable of false': [() => thenable(resolve => resolve(false)), false],
  'a thenable of a thenable of false': [() => thenable(resolve => resolve(thenable(inner => inner(false)))), false],
  'a thenable of a thenable of true': [() => thenable(resolve => resolve(thenable(inner => inner(true)))), true],
  'a thenable that is a function': [() => Object.assign(() => true, { then: (resolve: (value: unknown) => void) => resolve(false) }), false],
  'a thenable that rejects': [() => thenable((_, reject) => reject(new Error('boom'))), null],
  'a thenable that rejects with nothing': [() => thenable((_, reject) => reject(undefined)), null],
  'a thenable that calls both, false first': [() => thenable((resolve, reject) => { resolve(false); resolve(true); reject(new Error('late')) }), false],
  'a thenable that calls both, true first': [() => thenable((resolve, reject) => { resolve(true); reject(new Error('late')) }), true],
  'a then that throws': [() => ({ then () { throw new Error('from then') } }), null],
  'a then whose getter throws': [() => getterThrows, null],
  'a revoked Proxy': [() => revoked.proxy, null],
  'a promise whose own then lets in': [() => Object.assign(Promise.resolve(true), { then: (resolve: (value: unknown) => void) => resolve(false) }), false]
}

interface Asked {
  status: number
  warnings: string[]
}

/** Asks an app with these options for a connection, over TCP and over HTTP/2. */
async function ask (t: Teardown, options: WebSocketPluginOptions): Promise<Asked[]> {
  const asked: Asked[] = []
  for (const http2 of [false, true]) {
    const warnings: string[] = []
    const logger = { level: 'warn', stream: { write: (line: string) => { warnings.push(JSON.parse(line).msg) } } }
    const { app, port } = await startApp(t, app => {
      app.get('/', { websocket: true }, connection => connection.close())
    }, options, { http2, logger })
    if (http2) {
      const session = await connectHttp2(t, `http://127.0.0.1:${port}`)
      const { status } = await responseHeaders(extendedConnect(session, '/', { origin: 'https://evil.example' }))
      asked.push({ status: status === 200 ? 101 : status, warnings })
      session.destroy()
    } else {
      const client = await RawClient.connect(port)
      client.write(upgradeRequest('/', { Origin: 'https://evil.example' }))
      asked.push({ status: (await client.head()).status, warnings })
      client.destroy()
    }
    await app.close()
  }
  return asked
}

const FUNCTIONS: Record<string, [options: (answer: () => unknown) => WebSocketPluginOptions, refusal: number, name: RegExp]> = {
  origin: [answer => ({ origin: answer as OriginPolicy }), 403, /^'origin' answered/],
  'verifyClient, by what it returns': [answer => ({ origin: '*', options: { verifyClient: (() => answer()) as VerifyClient } }), 401, /^'verifyClient' answered/]
}

for (const [name, [toOptions, refusal, warning]] of Object.entries(FUNCTIONS)) {
  t.test(`${name}: only true lets a client in, at once or later`, async t => {
    for (const [kind, [answer, isAllowed]] of Object.entries(ANSWERS)) {
      const expected = isAllowed === null ? 500 : isAllowed ? 101 : refusal
      for (const { status, warnings } of await ask(t, toOptions(answer))) {
        t.equal(status, expected, kind)
        if (status === refusal && !kind.includes('false') && !kind.includes('lets in') && !kind.includes('is a function')) t.match(warnings, [warning], `${kind}: the log says why`)
      }
    }
  })
}

t.test('verifyClient, by its callback: only true lets a client in', async t => {
  for (const value of [true, false, undefined, null, 1, 'yes', {}, Promise.resolve(true), thenable(resolve => resolve(true)), Object(true)]) {
    const verifyClient: VerifyClient = (_info, callback) => { setImmediate(callback, value as boolean) }
    for (const { status, warnings } of await ask(t, { origin: '*', options: { verifyClient } })) {
      t.equal(status, value === true ? 101 : 401, typeof value)
      t.equal(warnings.length, typeof value === 'boolean' ? 0 : 1)
    }
  }
})

t.test('verifyClient with a callback: a thenable that rejects refuses with 500', async t => {
  for (const returned of [() => thenable((_, reject) => reject(new Error('boom'))), () => runInNewContext('Promise.reject(new Error("boom"))'), () => getterThrows]) {
    const verifyClient = ((_info: unknown, _callback: unknown) => returned()) as VerifyClient
    for (const { status } of await ask(t, { origin: '*', options: { verifyClient } })) t.equal(status, 500)
  }
})

t.test('a function that never answers: 503 when handshakeTimeout is over', async t => {
  const never = (): PromiseLike<boolean> => ({ then () {} }) as unknown as PromiseLike<boolean>
  const options: WebSocketPluginOptions[] = [
    { origin: never as unknown as OriginPolicy },
    { origin: '*', options: { verifyClient: (() => never()) as unknown as VerifyClient } }
  ]
  for (const one of options) for (const { status } of await ask(t, { ...one, handshakeTimeout: 50 })) t.equal(status, 503)
})

t.test('protocols and handleProtocols cannot answer later: 500, the log says why, and no rejection is lost', async t => {
  const later = [async () => 'a', async () => { throw new Error('boom') }, () => thenable((_, reject) => reject(new Error('boom'))), () => getterThrows]
  for (const select of later) {
    const asOption = await ask(t, { origin: '*', protocols: select as never })
    for (const { status, warnings } of asOption) {
      t.equal(status, 500)
      t.match(warnings, [/^'protocols' has to return a subprotocol or false, and not a promise$/])
    }
    const lines: string[] = []
    const { port } = await startApp(t, app => {
      app.get('/', { websocket: true }, () => {})
    }, { options: { handleProtocols: select as never } }, { logger: { level: 'warn', stream: { write: line => { lines.push(JSON.parse(line).msg) } } } })
    const client = await RawClient.connect(port)
    client.write(upgradeRequest('/', { 'Sec-WebSocket-Protocol': 'a' }))
    t.equal((await client.head()).status, 500)
    t.match(lines, [/^'handleProtocols' has to return a subprotocol or false, and not a promise$/])
    client.destroy()
  }
})

const REJECTING: Record<string, (error: Error) => unknown> = {
  'an async function': async error => { throw error },
  'a thenable': error => thenable((_, reject) => reject(error)),
  'a promise of another realm': error => runInNewContext('Promise.reject(error)', { error })
}

t.test('what a handler, a listener or a callback rejects with goes to errorHandler once, whatever thenable it is', async t => {
  const places: Record<string, (connection: WebSocketConnection, reject: () => unknown) => unknown> = {
    'the handler': (_, reject) => reject(),
    'a message listener': (connection, reject) => { connection.on('message', reject as () => void) },
    'a browser\'s listener': (connection, reject) => { connection.addEventListener('message', reject as () => void) },
    'an on… property': (connection, reject) => { connection.onmessage = reject as () => void },
    'a json listener': (connection, reject) => { connection.on('json', reject as () => void) },
    'a send callback': (connection, reject) => { connection.send('a', reject as () => void) },
    'a send callback of a closed connection': (connection, reject) => {
      connection.terminate()
      connection.send('a', reject as () => void)
    },
    'a close listener': (connection, reject) => { connection.on('close', reject as () => void) }
  }
  for (const [place, use] of Object.entries(places)) {
    for (const [kind, reject] of Object.entries(REJECTING)) {
      const expected = new Error(`${kind} of ${place}`)
      const errors: Error[] = []
      const reported = gate()
      const { app, port } = await startApp(t, app => {
        app.get('/', { websocket: true }, connection => use(connection, () => reject(expected)))
      }, {
        errorHandler: error => {
          errors.push(error)
          reported.open()
        }
      })
      const client = await RawClient.open(port)
      client.write(Buffer.concat([text('1'), close(1000)]))
      client.end()
      await reported.passed
      await app.close()
      t.equal(errors.length, 1, expected.message)
      t.equal(errors[0], expected, expected.message)
      client.destroy()
    }
  }
})

t.test('what errorHandler and onInvalidMessage reject with is logged and closes with 1011, whatever thenable it is', async t => {
  for (const [kind, reject] of Object.entries(REJECTING)) {
    const options: Record<string, WebSocketPluginOptions> = {
      errorHandler: { errorHandler: () => reject(new Error('from the function')) },
      onInvalidMessage: { onInvalidMessage: () => reject(new Error('from the function')) }
    }
    for (const [name, one] of Object.entries(options)) {
      const lines: string[] = []
      const { port } = await startApp(t, app => {
        app.get('/', { websocket: true }, connection => {
          connection.on('json', () => { throw new Error('of the listener') })
        })
      }, one, { logger: { level: 'error', stream: { write: line => { lines.push(JSON.parse(line).msg) } } } })
      const client = await RawClient.open(port)
      client.write(text(name === 'errorHandler' ? '{}' : '{'))
      t.equal((await client.closeFrame()).code, 1011, `${kind} of ${name}`)
      t.strictSame(lines, ['from the function'])
      client.destroy()
    }
  }
})

t.test('a handler whose thenable is odd: messages are delivered when it has settled', async t => {
  const odd: Record<string, [returned: () => unknown, errors: number]> = {
    'calls both': [() => thenable((resolve, reject) => { resolve(1); reject(new Error('late')) }), 0],
    'getter throws': [() => getterThrows, 1],
    'then throws': [() => ({ then () { throw new Error('from then') } }), 1],
    'a revoked Proxy': [() => revoked.proxy, 1],
    'no function': [() => ({ then: 1 }), 0]
  }
  for (const [name, [returned, count]] of Object.entries(odd)) {
    const errors: Error[] = []
    const closed = gate()
    const { port } = await startApp(t, app => {
      app.get('/', { websocket: true }, connection => {
        connection.once('close', closed.open)
        return returned()
      })
    }, { errorHandler: error => { errors.push(error) } })
    const client = await RawClient.open(port)
    client.write(Buffer.concat([text('1'), close(1000)]))
    t.equal((await client.closeFrame()).code, 1000, name)
    client.end()
    await closed.passed
    t.equal(errors.length, count, name)
  }
})

t.test('a broadcast filter that returns a promise sends nothing to anybody', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register((await import('../../lib/index.js')).default)
  app.get('/', { websocket: true }, () => {})
  const client = await app.injectWS('/')
  const got: unknown[] = []
  client.on('message', data => got.push(String(data)))
  const filters = [async () => false, async () => { throw new Error('boom') }, () => thenable((_, reject) => reject(new Error('boom')))]
  for (const filter of filters) {
    t.throws(() => app.websocketServer.broadcast('secret', { filter: filter as never }), { name: 'TypeError', message: /'filter' has to return a boolean/ })
    t.throws(() => app.websocketServer.broadcastJson('secret', { filter: filter as never }), { name: 'TypeError' })
    t.throws(() => app.websocketServer.route('/').broadcast('secret', { filter: filter as never }), { name: 'TypeError' })
  }
  app.websocketServer.broadcast('open')
  await new Promise(resolve => client.once('message', resolve))
  t.strictSame(got, ['open'])
  client.terminate()
})
