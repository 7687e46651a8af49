import { AsyncLocalStorage } from 'node:async_hooks'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import type { WebSocketConnection, WebSocketPluginOptions } from '../../lib/index.js'
import { startApp } from '../support/app.js'
import { certificate } from '../support/certificate.js'
import { DeflateClient } from '../support/deflate-client.js'
import { connectHttp2, openHttp2 } from '../support/http2-client.js'
import { close, frame, ping, pong, RawClient, text } from '../support/raw-client.js'
import { connectSecure, gate, turns } from '../support/server-sockets.js'

/** What a hook has put there, by the name in the query; `outside` and `inner` are contexts of others. */
const names = new AsyncLocalStorage<string>()

/** A client, as far as these cases need one. */
interface Peer {
  send (data: string): void
  ping (): void
  pong (): void
  close (): void
  /** What no client may send; `null` where the client is one that does not. */
  readonly violate: (() => void) | null
  /** Stops reading, and goes on. */
  readonly pause: () => void
  readonly resume: () => void
}

interface Transport {
  fastifyOptions: object
  connect (t: Test, app: FastifyInstance, port: number, path: string): Promise<Peer>
}

function rawPeer (client: RawClient): Peer {
  client.socket.on('end', () => client.end())
  client.socket.on('error', () => {})
  return {
    send: data => client.write(text(data)),
    ping: () => client.write(ping('?')),
    pong: () => client.write(pong('!')),
    close: () => client.write(close(1000)),
    violate: () => client.write(frame(0x1, '', { rsv: 0x70 })),
    pause: () => client.socket.pause(),
    resume: () => client.socket.resume()
  }
}

const transports: Record<string, Transport> = {
  TCP: {
    fastifyOptions: {},
    async connect (t, _app, port, path) {
      const client = await RawClient.open(port, path)
      t.teardown(() => client.destroy())
      return rawPeer(client)
    }
  },
  TLS: {
    fastifyOptions: { https: certificate },
    async connect (t, _app, port, path) {
      const client = await connectSecure(port)
      t.teardown(() => client.destroy())
      await client.upgrade(path)
      return rawPeer(client)
    }
  },
  'HTTP/2': {
    fastifyOptions: { http2: true },
    async connect (t, _app, port, path) {
      return rawPeer(await openHttp2(await connectHttp2(t, `http://127.0.0.1:${port}`), path))
    }
  },
  injectWS: {
    fastifyOptions: {},
    async connect (_t, app, _port, path) {
      const client = await app.injectWS(path)
      return {
        send: data => client.send(data),
        ping: () => client.ping('?'),
        pong: () => client.pong('!'),
        close: () => client.close(1000),
        violate: null,
        pause: () => client.pause(),
        resume: () => client.resume()
      }
    }
  }
}

interface Rig {
  app: FastifyInstance
  connect (name: string, path?: string): Promise<Peer>
  /** What ran where, as `event: name`, in order. */
  seen: string[]
  note (event: string): void
  /** Resolves when that was noted so many times. */
  noted (event: string, times?: number): Promise<void>
}

/** An app whose hook enters a context by the name in the query, and each of whose routes is a handler at its own path. */
async function serve (
  t: Test,
  { fastifyOptions, connect }: Transport,
  routes: Record<string, (connection: WebSocketConnection, note: Rig['note']) => unknown>,
  options: WebSocketPluginOptions = {},
  configure: (app: FastifyInstance) => void = () => {}
): Promise<Rig> {
  const seen: string[] = []
  let wake = (): void => {}
  const note = (event: string): void => {
    seen.push(`${event}: ${names.getStore()}`)
    wake()
  }
  const { app, port } = await startApp(t, app => {
    app.addHook('onRequest', (request, _reply, done) => {
      const { name } = request.query as { name?: string }
      if (name === undefined) done()
      else names.run(name, done)
    })
    configure(app)
    for (const [path, handler] of Object.entries(routes)) app.get(path, { websocket: true }, connection => handler(connection, note))
  }, { heartbeat: false, ...options, errorHandler (error) { note(`errorHandler ${error.message}`) } }, fastifyOptions)
  return {
    app,
    seen,
    note,
    connect: (name, path = '/') => connect(t, app, port, `${path}${name === '' ? '' : `?name=${name}`}`),
    async noted (event, times = 1) {
      while (seen.filter(line => line.startsWith(`${event}: `)).length < times) await new Promise<void>(resolve => { wake = resolve })
    }
  }
}

/** Everything but what is in nobody's context ran in that of `name`. */
function allIn (t: Test, seen: string[], name: string, events: string[]): void {
  t.strictSame([...new Set(seen)].sort(), events.map(event => `${event}: ${name}`).sort())
}

export function defineCases (t: Test): void {
  for (const [transport, how] of Object.entries(transports)) {
    t.test(`${transport}: listeners of two connections that are written to in one turn run in the contexts of their handshakes`, async t => {
      const { connect, seen, noted } = await serve(t, how, {
        '/' (connection, note) {
          note('handler')
          connection.on('message', data => {
            note('message')
            connection.send(String(data), () => note('callback'))
          })
          connection.addEventListener('message', () => note('addEventListener message'))
          connection.onmessage = () => note('onmessage')
          connection.on('json', () => note('json'))
          connection.on('ping', () => note('ping'))
          connection.on('pong', () => note('pong'))
          connection.on('close', () => {
            note('close')
            connection.send('too late', () => note('refused callback'))
          })
          connection.addEventListener('close', () => note('addEventListener close'))
          connection.signal.addEventListener('abort', () => note('abort'))
        }
      })
      const peers = [await connect('a'), await connect('b')]
      for (const peer of peers) {
        for (let i = 0; i < 3; i++) peer.send('1')
        peer.ping()
        peer.pong()
      }
      await noted('pong', 2)
      for (const peer of peers) peer.close()
      await noted('refused callback', 2)
      const events = ['handler', 'message', 'callback', 'addEventListener message', 'onmessage', 'json', 'ping', 'pong', 'close', 'refused callback', 'addEventListener close', 'abort']
      t.strictSame([...new Set(seen)].sort(), events.flatMap(event => [`${event}: a`, `${event}: b`]).sort())
      t.equal(seen.filter(line => line === 'message: a').length, 3)
    })

    t.test(`${transport}: what was thrown, rejected or sent in error is reported in the context of the handshake`, async t => {
      const { connect, seen, noted } = await serve(t, how, {
        '/throws' (connection) { connection.on('message', () => { throw new Error('thrown') }) },
        '/rejects' (connection) { connection.on('message', async () => { throw new Error('rejected') }) },
        '/callback' (connection) { connection.on('message', () => { connection.send('x', () => { throw new Error('callback') }) }) },
        async '/handler' () {
          await turns(2)
          throw new Error('handler')
        },
        '/violated' (connection, note) {
          connection.on('error', () => note('error'))
          connection.onerror = () => note('onerror')
        }
      })
      for (const path of ['throws', 'rejects', 'callback', 'handler']) (await connect('a', `/${path}`)).send('1')
      for (const event of ['thrown', 'rejected', 'callback', 'handler']) await noted(`errorHandler ${event}`)
      const events = ['thrown', 'rejected', 'callback', 'handler'].map(message => `errorHandler ${message}`)
      const peer = await connect('a', '/violated')
      if (peer.violate !== null) {
        peer.violate()
        await noted('errorHandler reserved bits are set')
        events.push('error', 'onerror', 'errorHandler reserved bits are set')
      }
      allIn(t, seen, 'a', events)
    })

    t.test(`${transport}: onInvalidMessage runs in the context of the handshake`, async t => {
      const { connect, seen } = await serve(t, how, {}, {}, app => {
        app.get('/', { schema: { receive: { type: 'number' } }, websocket: { onInvalidMessage (error) { noteInvalid(error) } } }, connection => {
          connection.on('json', () => {})
        })
      })
      function noteInvalid (_error: Error): void {
        seen.push(`onInvalidMessage: ${names.getStore()}`)
        wake()
      }
      let wake = (): void => {}
      const peer = await connect('a')
      const told = new Promise<void>(resolve => { wake = resolve })
      peer.send('"not a number"')
      await told
      allIn(t, seen, 'a', ['onInvalidMessage'])
    })

    t.test(`${transport}: iterators and streams`, async t => {
      const { connect, seen, noted } = await serve(t, how, {
        async '/iterator' (connection, note) {
          for await (const message of connection) note(`iterated ${String(message)}`)
          note('over')
        },
        async '/json' (connection, note) {
          for await (const message of connection.json()) note(`parsed ${String(message)}`)
        },
        '/stream' (connection, note) {
          const stream = connection.stream()
          stream.on('data', () => {
            note('data')
            stream.write('x', () => note('write callback'))
          })
          for (const event of ['end', 'close'] as const) stream.on(event, () => note(event))
        }
      })
      const peers = [await connect('a', '/iterator'), await connect('a', '/json'), await connect('a', '/stream')]
      for (const peer of peers) for (let i = 0; i < 2; i++) peer.send('1')
      await noted('write callback', 2)
      for (const peer of peers) peer.close()
      await noted('close')
      await noted('over')
      allIn(t, seen, 'a', ['iterated 1', 'over', 'parsed 1', 'data', 'write callback', 'end', 'close'])
    })

    t.test(`${transport}: what others set off runs in the context of the connection, and not in theirs`, async t => {
      const connections: WebSocketConnection[] = []
      const { app, connect, seen, noted } = await serve(t, how, {
        '/' (connection, note) {
          connections.push(connection)
          for (const event of ['drain', 'close'] as const) connection.on(event, () => note(event))
          connection.on('message', data => note(`message ${String(data)}`))
        }
      })
      for (const name of ['a', '']) {
        seen.length = 0
        const peer = await connect(name)
        const connection = connections.at(-1)!
        const outside = <T>(action: () => T): T => names.run('outside', action)

        outside(() => connection.pause())
        peer.send('1')
        await turns(10)
        outside(() => connection.resume())
        await noted('message 1')

        peer.pause()
        await outside(async () => {
          // By reference, so that nobody has to wait for the copies.
          while (connection.send(Buffer.alloc(64 * 1024))) await turns(1)
          app.websocketServer.broadcast('more')
          peer.resume()
          await noted('drain')
        })

        outside(() => connection.pause())
        peer.send('2')
        await turns(10)
        outside(() => connection.close())
        peer.close()
        await noted('close')
        const store = name === '' ? undefined : name
        t.strictSame(seen.filter(line => line !== `message 2: ${store}`), ['message 1', 'drain', 'close'].map(event => `${event}: ${store}`), `in the context of '${name}'`)
      }
    })

    t.test(`${transport}: what came before an async handler listened, and what is behind terminate and app.close`, async t => {
      const ready = gate()
      const connections: WebSocketConnection[] = []
      const { app, connect, seen, noted } = await serve(t, how, {
        async '/' (connection, note) {
          await ready.passed
          connections.push(connection)
          connection.on('message', () => note('message'))
          connection.on('close', () => note('close'))
        }
      }, { closeTimeout: 500 })
      const peers = [await connect('a'), await connect('a'), await connect('a')]
      for (const peer of peers) peer.send('1')
      await turns(10)
      names.run('outside', () => ready.open())
      await noted('message', 3)
      names.run('outside', () => connections[0]!.terminate())
      await noted('close')
      await names.run('outside', () => app.close())
      await noted('close', 3)
      allIn(t, seen, 'a', ['message', 'close'])
    })

    t.test(`${transport}: a store that the handler or a listener enters ends there`, async t => {
      const entered = new AsyncLocalStorage<string>()
      const { connect, seen, noted } = await serve(t, how, {
        '/' (connection, note) {
          entered.enterWith('by the handler')
          names.enterWith('by the handler')
          const noteBoth = (event: string): void => note(`${event} ${entered.getStore()}`)
          connection.on('message', data => {
            noteBoth(String(data))
            names.enterWith('inner')
            entered.enterWith('inner')
          })
          connection.on('close', () => noteBoth('close'))
        }
      })
      const peers = [await connect('a'), await connect('b')]
      for (const message of ['1', '2']) {
        for (const peer of peers) peer.send(message)
        await noted(`${message} undefined`, 2)
      }
      for (const peer of peers) peer.close()
      await noted('close undefined', 2)
      const events = ['1', '2', 'close']
      t.strictSame(seen.sort(), events.flatMap(event => [`${event} undefined: a`, `${event} undefined: b`]))
    })

    t.test(`${transport}: a store that a listener runs in ends before the next message of the same chunk`, async t => {
      const { connect, seen, noted } = await serve(t, how, {
        '/' (connection, note) {
          connection.on('message', data => {
            note(`message ${String(data)}`)
            names.run('inner', () => note(`inner ${String(data)}`))
          })
        }
      })
      const peer = await connect('a')
      for (const message of ['1', '2']) peer.send(message)
      await noted('inner 2')
      t.strictSame(seen, ['message 1: a', 'inner 1: inner', 'message 2: a', 'inner 2: inner'])
    })

    t.test(`${transport}: idleTimeout and a heartbeat that finds nobody`, async t => {
      const { connect, seen, noted } = await serve(t, how, {
        '/' (connection, note) { connection.on('close', () => note('close')) }
      }, { idleTimeout: 40, closeTimeout: 40, heartbeat: { interval: 20, timeout: 1000 } })
      await connect('a')
      await connect('b')
      await noted('close', 2)
      t.strictSame(seen.sort(), ['close: a', 'close: b'])
    })
  }

  for (const [what, size] of [['on this thread', 2000], ['on another thread', 300_000]] as const) {
    t.test(`compressed messages, ${what}`, async t => {
      const { app, noted, seen } = await serve(t, transports.TCP!, {
        '/' (connection, note) {
          connection.on('message', data => {
            note('message')
            connection.send(data, () => note('callback'))
          })
        }
      }, { perMessageDeflate: { threshold: 0 } })
      const { port } = app.server.address() as { port: number }
      const clients = await Promise.all(['a', 'b'].map(name => DeflateClient.open(t, port, `/?name=${name}`)))
      const data = Buffer.from(Array.from({ length: size }, (_, i) => (i * i * 31 + (i >> 3)) & 0x7f))
      await Promise.all(clients.map(client => client.send(data)))
      for (const client of clients) t.strictSame((await client.message()).data, data)
      await noted('callback', 2)
      t.strictSame([...seen].sort(), ['callback: a', 'callback: b', 'message: a', 'message: b'])
    })
  }

  t.test('the log line at the end is written in the context of the handshake', async t => {
    const lines: { msg: string, name?: string }[] = []
    let wake = (): void => {}
    const ended = new Promise<void>(resolve => { wake = resolve })
    const { connect } = await serve(t, {
      ...transports.TCP!,
      fastifyOptions: {
        logger: {
          mixin: () => ({ name: names.getStore() }),
          stream: {
            write (line: string) {
              lines.push(JSON.parse(line) as { msg: string })
              if (lines.at(-1)!.msg === 'websocket connection closed') wake()
            }
          }
        }
      }
    }, { '/' () {} })
    const peer = await connect('a')
    peer.close()
    await ended
    t.equal(lines.find(({ msg }) => msg === 'websocket connection closed')!.name, 'a')
  })

  t.test('nothing that connections share keeps the stores of one that is gone', async t => {
    setFlagsFromString('--expose-gc')
    const gc = runInNewContext('gc') as () => void
    const requests = new AsyncLocalStorage<object>()
    const stores: WeakRef<object>[] = []
    const { app, port } = await startApp(t, app => {
      app.addHook('onRequest', (_request, _reply, done) => {
        const store = {}
        stores.push(new WeakRef(store))
        requests.run(store, done)
      })
      app.get('/', { websocket: true }, connection => {
        connection.on('message', data => connection.send(data))
      })
    }, { perMessageDeflate: { threshold: 0 }, heartbeat: { interval: 60_000, timeout: 60_000 } })
    const path = '/'
    const offer = 'permessage-deflate; client_no_context_takeover; server_no_context_takeover'
    // The first makes what all share; the second keeps that in use.
    const first = await DeflateClient.open(t, port, path, offer)
    await first.send('x'.repeat(100))
    await first.message()
    await DeflateClient.open(t, port, path, offer)
    first.close()
    while (app.websocketServer.clients.size > 1) await turns(1)
    for (let i = 0; i < 50 && stores[0]!.deref() !== undefined; i++) {
      await delay(20)
      gc()
    }
    t.equal(stores[0]!.deref(), undefined)
    t.not(stores[1]!.deref(), undefined)
  })

  t.test('an async handler, and what it awaits, stays in its own context', async t => {
    const { connect, seen, noted } = await serve(t, transports.TCP!, {
      async '/' (connection, note) {
        const [data] = await once(connection, 'message') as [Buffer]
        note(`once ${data.toString()}`)
        await names.run('inner', async () => { await delay(1) })
        note('after')
      }
    })
    const peers = [await connect('a'), await connect('b')]
    for (const peer of peers) peer.send('1')
    await noted('after', 2)
    t.strictSame(seen.sort(), ['after: a', 'after: b', 'once 1: a', 'once 1: b'])
  })
}
