import { once } from 'node:events'
import t from 'tap'
import { WebSocket } from 'ws'
import type { WebSocketConnection } from '../../lib/index.js'
import { startApp, type Teardown } from '../support/app.js'
import { serveWithOurs, serveWithWs, type Serve } from '../support/both-servers.js'
import { binary, close, continuation, frame, ping, pong, RawClient, text } from '../support/raw-client.js'

// The same scenario runs against a server socket of `ws` and against ours, and what happened has to be the same,
// entry by entry, and what is written down here.

interface Peers {
  connection: WebSocketConnection
  client: RawClient
  log: (...entry: unknown[]) => void
  /** Resolves when `close` was emitted. */
  closed: Promise<void>
}

interface Scenario {
  /** Runs where a user attaches listeners: in the handler, or in the `connection` event of `ws`. */
  attach?: (connection: WebSocketConnection, log: Peers['log']) => void
  drive: (peers: Peers) => Promise<void>
}

async function play (t: Teardown, serve: Serve, { attach, drive }: Scenario): Promise<unknown[]> {
  const entries: unknown[] = []
  const log = (...entry: unknown[]): void => { entries.push(entry) }
  let opened!: (connection: WebSocketConnection) => void
  let closed!: Promise<void>
  const whenOpened = new Promise<WebSocketConnection>(resolve => { opened = resolve })
  const port = await serve(t, connection => {
    closed = new Promise(resolve => {
      attach?.(connection, log)
      connection.on('close', () => resolve())
    })
    opened(connection)
  })
  const client = await RawClient.open(port)
  t.teardown(() => client.destroy())
  client.socket.on('end', () => client.end())
  const connection = await whenOpened
  await drive({ connection, client, log, closed })
  client.destroy()
  return entries
}

function sideBySide (name: string, scenario: Scenario, expected: unknown[]): void {
  t.test(name, async t => {
    t.same(await play(t, serveWithWs, scenario), expected, 'ws')
    t.same(await play(t, serveWithOurs, scenario), expected, 'ours')
  })
}

function logAll (connection: WebSocketConnection, log: Peers['log']): void {
  connection.on('message', (data, isBinary) => log('message', Buffer.isBuffer(data), data.toString('hex'), isBinary, connection.readyState))
  connection.on('ping', data => log('ping', Buffer.isBuffer(data), String(data)))
  connection.on('pong', data => log('pong', Buffer.isBuffer(data), String(data)))
  connection.on('error', error => log('error', error instanceof Error, connection.readyState))
  connection.on('close', (code, reason) => log('close', code, Buffer.isBuffer(reason), String(reason), connection.readyState))
}

sideBySide('events of one chunk: order, arguments, readyState', {
  attach: logAll,
  async drive ({ client, closed, log }) {
    client.write(Buffer.concat([
      text('grüße'), ping('p1'), binary(Buffer.from([0, 255])), pong('q'), text('', { fin: false }), ping(), continuation('x'), text(''), binary(''), close(4000, 'ende')
    ]))
    await closed
    log('frame', (await client.frame()).payload.toString())
    log('frame', (await client.frame()).payload.toString())
    log('close frame', await client.closeFrame())
  }
}, [
  ['message', true, Buffer.from('grüße').toString('hex'), false, 1],
  ['ping', true, 'p1'],
  ['message', true, '00ff', true, 1],
  ['pong', true, 'q'],
  ['ping', true, ''],
  ['message', true, '78', false, 1],
  ['message', true, '', false, 1],
  ['message', true, '', true, 1],
  ['close', 4000, true, 'ende', 3],
  ['frame', 'p1'],
  ['frame', ''],
  ['close frame', { code: 4000, reason: 'ende' }]
])

sideBySide('close: the peer sends a Close frame without a code', {
  attach: logAll,
  async drive ({ client, closed, log }) {
    client.write(close())
    await closed
    log(await client.closeFrame())
  }
}, [['close', 1005, true, '', 3], [{ code: 1005, reason: '' }]])

sideBySide('close: the peer half-closes TCP without a Close frame', {
  attach: logAll,
  async drive ({ client, closed }) {
    client.write(text('last'))
    client.end()
    await closed
    await client.ended
  }
}, [['message', true, Buffer.from('last').toString('hex'), false, 1], ['close', 1006, true, '', 3]])

sideBySide('close: the peer resets TCP', {
  attach: logAll,
  async drive ({ client, closed }) {
    const { socket } = client
    if ('resetAndDestroy' in socket && typeof socket.resetAndDestroy === 'function') socket.resetAndDestroy()
    await closed
  }
}, [['close', 1006, true, '', 3]])

for (const [name, args, expected, answer] of [
  ['without a code', [], { code: 1005, reason: '' }, [1005, '']],
  ['with a code', [1000], { code: 1000, reason: '' }, [1000, '']],
  ['with a code and a reason', [4999, 'tschüß'], { code: 4999, reason: 'tschüß' }, [4999, 'from the peer']],
  ['with a reason as bytes', [3000, Buffer.from('bytes')], { code: 3000, reason: 'bytes' }, [1005, '']]
] as Array<[string, [number?, (string | Buffer)?], { code: number, reason: string }, [number, string]]>) {
  sideBySide(`close: by us, ${name}`, {
    attach: logAll,
    async drive ({ connection, client, closed, log }) {
      log(connection.readyState)
      connection.send('before')
      connection.close(...args)
      log(connection.readyState)
      connection.close(1001, 'too late')
      log((await client.frame()).payload.toString())
      log(await client.closeFrame())
      // messages before the peer's Close frame are still delivered (RFC 6455 §5.5.1)
      client.write(Buffer.concat([text('m'), close(answer[0] === 1005 ? undefined : answer[0], answer[1])]))
      await client.ended
      client.end()
      await closed
      log(connection.readyState)
      connection.close(1000)
      connection.terminate()
      log(connection.readyState)
    }
  }, [[1], [2], ['before'], [expected], ['message', true, '6d', false, 2], ['close', answer[0], true, answer[1], 3], [3], [3]])
}

sideBySide('close: terminate', {
  attach: logAll,
  async drive ({ connection, client, closed, log }) {
    connection.terminate()
    log(connection.readyState)
    connection.close(1000)
    connection.terminate()
    await closed
    await client.closed
    log(client.received.length)
  }
}, [[2], ['close', 1006, true, '', 3], [0]])

sideBySide('close: the peer breaks the protocol: error, then close 1006, and the peer is told 1002', {
  attach: logAll,
  async drive ({ client, closed, log }) {
    client.write(Buffer.concat([text('good'), frame(0x3, 'reserved opcode'), text('ignored'), close(1000)]))
    log((await client.closeFrame()).code)
    client.end()
    await closed
  }
}, [['message', true, Buffer.from('good').toString('hex'), false, 1], ['error', true, 2], [1002], ['close', 1006, true, '', 3]])

sideBySide('close: what is not to be sent is not, and the connection stays open', {
  attach: logAll,
  async drive ({ connection, client, closed, log }) {
    const attempts: unknown[][] = [[0], [999], [1004], [1005], [1006], [1015], [2999], [5000], ['1000'], [null], [1000, 'x'.repeat(124)], [1000, '€'.repeat(42)]]
    for (const args of attempts) {
      try {
        connection.close(...args as [number, string])
        log('accepted', args)
      } catch (error) {
        log(error instanceof RangeError || error instanceof TypeError, connection.readyState)
      }
    }
    connection.close(1000, '€'.repeat(41))
    log(await client.closeFrame())
    client.write(close(1000))
    client.end()
    await closed
    connection.close(1006)
  }
}, [...Array<unknown>(12).fill([true, 1]), [{ code: 1000, reason: '€'.repeat(41) }], ['close', 1000, true, '', 3]])

sideBySide('send: callbacks, in order, never within the call, with nothing if it went well', {
  async drive ({ connection, client, log }) {
    const done = new Promise<void>(resolve => {
      connection.send('1', error => log('callback 1', error ?? null))
      connection.send('2', {}, error => log('callback 2', error ?? null))
      connection.send('3', { binary: true }, error => {
        log('callback 3', error ?? null)
        resolve()
      })
      log('sent')
    })
    await done
    for (let i = 0; i < 3; i++) log((await client.frame()).opcode)
  }
}, [['sent'], ['callback 1', null], ['callback 2', null], ['callback 3', null], [1], [1], [2]])

sideBySide('send, ping and pong after close: no throw, and the callback gets an error, never within the call', {
  async drive ({ connection, client, closed, log }) {
    const refused = async (name: string, act: (callback: (error?: Error | null) => void) => void): Promise<void> => {
      await new Promise<void>(resolve => {
        act(error => {
          log(name, error instanceof Error)
          resolve()
        })
        log(name, 'called')
      })
    }
    connection.close(1000)
    await refused('send while closing', callback => connection.send('x', callback))
    await refused('ping while closing', callback => connection.ping('x', false, callback))
    client.write(close(1000))
    await client.closeFrame()
    client.end()
    await closed
    connection.send('x')
    connection.ping()
    connection.pong()
    await refused('send when closed', callback => connection.send('x', {}, callback))
    await refused('pong when closed', callback => connection.pong('x', false, callback))
    log(client.received.length)
  }
}, [
  ['send while closing', 'called'], ['send while closing', true],
  ['ping while closing', 'called'], ['ping while closing', true],
  ['send when closed', 'called'], ['send when closed', true],
  ['pong when closed', 'called'], ['pong when closed', true],
  [0]
])

sideBySide('send: binary and fin say what the frames are', {
  async drive ({ connection, client, log }) {
    connection.send('text')
    connection.send(Buffer.from('binary'))
    connection.send('binary', { binary: true })
    connection.send(Buffer.from('text'), { binary: false })
    connection.send('a', { fin: false })
    connection.send('b', { fin: false })
    connection.ping('between')
    connection.send('c', { fin: true })
    connection.send(Buffer.from('d'), { fin: false })
    connection.send(Buffer.from('e'))
    connection.send('whole')
    for (let i = 0; i < 11; i++) {
      const { opcode, fin, payload, masked, rsv } = await client.frame()
      log(opcode, fin, payload.toString(), masked, rsv)
    }
  }
}, [
  [1, true, 'text', false, 0], [2, true, 'binary', false, 0], [2, true, 'binary', false, 0], [1, true, 'text', false, 0],
  [1, false, 'a', false, 0], [0, false, 'b', false, 0], [9, true, 'between', false, 0], [0, true, 'c', false, 0],
  [2, false, 'd', false, 0], [0, true, 'e', false, 0], [1, true, 'whole', false, 0]
])

sideBySide('ping and pong: every form of their arguments', {
  async drive ({ connection, client, log }) {
    connection.ping()
    connection.ping('string')
    connection.ping(Buffer.from('bytes'), false)
    connection.ping(new Uint8Array([65, 66]).subarray(1), undefined)
    connection.ping(undefined, false, error => log('ping', error ?? null))
    connection.ping('cb', error => log('ping cb', error ?? null))
    connection.ping(error => log('ping only cb', error ?? null))
    connection.pong()
    connection.pong('x'.repeat(125), false, error => log('pong', error ?? null))
    connection.pong(error => log('pong only cb', error ?? null))
    for (const method of ['ping', 'pong'] as const) {
      for (const data of ['x'.repeat(126), '€'.repeat(42), new Uint16Array(63)]) {
        try {
          connection[method](data)
        } catch (error) {
          log(error instanceof RangeError)
        }
      }
    }
    const frames: unknown[] = []
    for (let i = 0; i < 10; i++) {
      const { opcode, payload } = await client.frame()
      frames.push([opcode, payload.toString()])
    }
    log(...frames)
  }
}, [
  [true], [true], [true], [true], [true], [true],
  ['ping', null], ['ping cb', null], ['ping only cb', null], ['pong', null], ['pong only cb', null],
  [[9, ''], [9, 'string'], [9, 'bytes'], [9, 'B'], [9, ''], [9, 'cb'], [9, ''], [10, ''], [10, 'x'.repeat(125)], [10, '']]
])

sideBySide('binaryType: the forms of binary messages, and text is a Buffer always', {
  async drive ({ connection, client, log }) {
    const next = (): Promise<void> => new Promise(resolve => connection.once('message', (data: unknown, isBinary) => {
      log(connection.binaryType, isBinary, Buffer.isBuffer(data), data instanceof ArrayBuffer, data instanceof Blob, Array.isArray(data) && data.map(String))
      resolve()
    }))
    log(connection.binaryType)
    for (const type of ['arraybuffer', 'fragments', 'blob', 'nodebuffer'] as const) {
      connection.binaryType = type
      let arrived = next()
      client.write(binary('bytes'))
      await arrived
      arrived = next()
      client.write(text('text'))
      await arrived
    }
    const wrong: string = 'uint8array'
    connection.binaryType = wrong as 'blob'
    log(connection.binaryType)
  }
}, [
  ['nodebuffer'],
  ['arraybuffer', true, false, true, false, false], ['arraybuffer', false, true, false, false, false],
  ['fragments', true, false, false, false, ['bytes']], ['fragments', false, true, false, false, false],
  ['blob', true, false, false, true, false], ['blob', false, true, false, false, false],
  ['nodebuffer', true, true, false, false, false], ['nodebuffer', false, true, false, false, false],
  ['nodebuffer']
])

sideBySide('listeners in the way of browsers', {
  attach (connection, log) {
    const names: unknown[] = []
    const add = (name: string) => (event: { type: string, target: unknown, data?: unknown }): void => {
      log(name, event.type, event.target === connection, String(event.data), typeof event.data)
    }
    const twice = add('function')
    connection.addEventListener('message', twice)
    connection.addEventListener('message', twice)
    const object = {
      name: 'object',
      handleEvent (event: { data: unknown }): void { log(this.name, String(event.data)) }
    }
    connection.addEventListener('message', object)
    connection.addEventListener('message', add('once'), { once: true })
    const removed = add('removed')
    connection.addEventListener('message', removed)
    connection.removeEventListener('message', removed)
    const removedOnce = add('removed once')
    connection.addEventListener('message', removedOnce, { once: true })
    connection.removeEventListener('message', removedOnce)
    connection.onmessage = add('replaced')
    const property = add('onmessage')
    connection.onmessage = property
    // a listener with the property's function is another listener
    connection.removeEventListener('message', property)
    names.push(connection.onmessage === property, connection.onclose, connection.onerror, connection.onopen)
    connection.onclose = event => {
      log('onclose', event.type, event.code, event.reason, event.wasClean, event.target === connection)
    }
    connection.addEventListener('close', function (this: unknown) { log('this', this === connection) })
    log(...names)
  },
  async drive ({ connection, client, closed }) {
    client.write(Buffer.concat([text('t'), binary('b')]))
    await once(connection, 'ping', { signal: AbortSignal.abort() }).catch(() => {})
    client.write(ping())
    await client.frame()
    connection.onmessage = null
    client.write(Buffer.concat([text('last'), close(4001, 'grund')]))
    await closed
  }
}, [
  [true, null, null, null],
  ['function', 'message', true, 't', 'string'], ['object', 't'], ['once', 'message', true, 't', 'string'], ['onmessage', 'message', true, 't', 'string'],
  ['function', 'message', true, 'b', 'object'], ['object', 'b'], ['onmessage', 'message', true, 'b', 'object'],
  ['function', 'message', true, 'last', 'string'], ['object', 'last'],
  ['onclose', 'close', 4001, 'grund', true, true], ['this', true]
])

sideBySide('onerror and onclose of a connection that failed', {
  attach (connection, log) {
    connection.onerror = event => {
      log(event.type, event.error instanceof Error, event.message === event.error.message, event.message.length > 0, event.target === connection)
    }
    connection.onclose = event => { log(event.code, event.reason, event.wasClean) }
  },
  async drive ({ client, closed }) {
    client.write(frame(0xb))
    await client.closeFrame()
    client.end()
    await closed
  }
}, [['error', true, true, true, true], [1006, '', false]])

sideBySide('isPaused, pause and resume', {
  attach (connection, log) {
    connection.on('message', data => log(String(data)))
  },
  async drive ({ connection, client, closed, log }) {
    log(connection.isPaused)
    connection.resume()
    connection.pause()
    connection.pause()
    log(connection.isPaused)
    client.write(text('1'))
    client.write(text('2'))
    await new Promise(resolve => setImmediate(resolve))
    await new Promise(resolve => setImmediate(resolve))
    log('still paused')
    connection.resume()
    log(connection.isPaused)
    client.write(close(1000))
    await closed
    connection.pause()
    connection.resume()
    log(connection.isPaused)
  }
}, [[false], [true], ['still paused'], [false], ['1'], ['2'], [false]])

sideBySide('once, prependListener, off and the names of the events are the emitter\'s', {
  attach (connection, log) {
    const off = (): void => log('off')
    connection.on('message', off)
    connection.on('message', () => log('on'))
    connection.once('message', () => log('once'))
    connection.prependListener('message', () => log('prepended'))
    connection.prependOnceListener('message', () => log('prepended once'))
    connection.addListener('message', () => log('added'))
    connection.off('message', off)
    log(connection.listenerCount('message'))
  },
  async drive ({ client, closed }) {
    client.write(Buffer.concat([text('1'), text('2'), close()]))
    await closed
  }
}, [[5], ['prepended once'], ['prepended'], ['on'], ['once'], ['added'], ['prepended'], ['on'], ['added']])

sideBySide('properties of a connection', {
  async drive ({ connection, log }) {
    log(connection.protocol, connection.extensions, connection.bufferedAmount, connection.readyState)
    log(connection.CONNECTING, connection.OPEN, connection.CLOSING, connection.CLOSED)
    const { constructor } = connection as unknown as { constructor: Record<string, unknown> }
    log(constructor.CONNECTING, constructor.OPEN, constructor.CLOSING, constructor.CLOSED)
    for (const holder of [connection, constructor] as unknown as Array<Record<string, unknown>>) {
      try {
        holder.OPEN = 7
      } catch {}
      log(holder.OPEN)
    }
  }
}, [['', '', 0, 1], [0, 1, 2, 3], [0, 1, 2, 3], [1], [1]])

t.test('the client of ws and our server understand each other on every path of close', async t => {
  let ended: Promise<[number, string]> = Promise.resolve([0, ''])
  const { url } = await startApp(t, app => {
    app.get('/', { websocket: true }, connection => {
      ended = new Promise(resolve => connection.on('close', (code, reason) => resolve([code, String(reason)])))
      connection.on('message', data => connection.close(Number(data), 'as you wish'))
    })
  })
  const client = new WebSocket(url)
  await once(client, 'open')
  client.send('4242')
  const [code, reason] = await once(client, 'close') as [number, Buffer]
  t.same([code, String(reason)], [4242, 'as you wish'])
  t.same(await ended, [4242, 'as you wish'], 'ws answers with code and reason')
})
