import { once } from 'node:events'
import t from 'tap'
import { InvalidMessageError, type InvalidMessage, type WebSocketConnection, type WebSocketPluginOptions } from '../../lib/index.js'
import { startApp, type Teardown } from '../support/app.js'
import { binary, close, RawClient, text } from '../support/raw-client.js'
import { gate, turns } from '../support/server-sockets.js'

async function serve (t: Teardown, handler: (connection: WebSocketConnection) => unknown, options: WebSocketPluginOptions = {}): Promise<RawClient> {
  const { port } = await startApp(t, app => { app.get('/', { websocket: true }, handler) }, { errorHandler: () => {}, ...options })
  const client = await RawClient.open(port)
  t.teardown(() => client.destroy())
  client.socket.on('end', () => client.end())
  return client
}

const json = (value: unknown): Buffer => text(JSON.stringify(value))

async function received (client: RawClient): Promise<unknown> {
  const { opcode, payload } = await client.frame()
  if (opcode !== 1) throw new Error(`opcode ${opcode}: ${payload.toString('latin1')}`)
  return JSON.parse(payload.toString())
}

t.test('json: every form of JSON, parsed; sendJson: as one text message', async t => {
  const values = [{ a: [1, 'ü', null] }, [], 'text', 0, -1.5e3, true, null, {}]
  const client = await serve(t, connection => {
    connection.on('json', message => connection.sendJson({ got: message }))
  })
  client.write(Buffer.concat([...values.map(json), text(' {"white" : "space"}\n'), text('\u{feff}"BOM"')]))
  for (const value of values) t.strictSame(await received(client), { got: value })
  t.strictSame(await received(client), { got: { white: 'space' } })
  t.strictSame(await received(client), { got: 'BOM' })
})

t.test('a message is for message and json listeners alike, in this order, and its bytes are as they came', async t => {
  const heard: unknown[] = []
  const client = await serve(t, connection => {
    connection.on('json', message => heard.push(['json', message]))
    connection.on('message', (data, isBinary) => heard.push(['message', String(data), isBinary]))
    connection.once('close', () => over.open())
  })
  const over = gate()
  client.write(Buffer.concat([json({ a: 1 }), binary('{"binary":1}'), close(1000)]))
  await over.passed
  t.strictSame(heard, [['message', '{"a":1}', false], ['json', { a: 1 }], ['message', '{"binary":1}', true]], 'binary messages are for message listeners')
})

t.test('nothing is lost before the json listener is there', async t => {
  const early = gate()
  const client = await serve(t, async connection => {
    await early.passed
    connection.on('json', message => connection.sendJson(message))
  })
  client.write(Buffer.concat([json(1), json(2), json(3)]))
  await turns(5)
  early.open()
  for (const value of [1, 2, 3]) t.equal(await received(client), value)
})

t.test('what is not valid reaches nobody, closes with its code, and nothing behind it is heard', async t => {
  const cases: [name: string, bytes: Buffer, closeCode: number, reason: string, code: string][] = [
    ['not JSON', text('{"a":'), 1007, 'the message is not JSON', 'FST_WS_ERR_INVALID_JSON'],
    ['nothing', text(''), 1007, 'the message is not JSON', 'FST_WS_ERR_INVALID_JSON'],
    ['two values', text('1 2'), 1007, 'the message is not JSON', 'FST_WS_ERR_INVALID_JSON'],
    ['NaN', text('NaN'), 1007, 'the message is not JSON', 'FST_WS_ERR_INVALID_JSON'],
    ['a key that is __proto__', text('{"a":{"__proto__":{"isAdmin":true}}}'), 1007, 'the message is not JSON', 'FST_WS_ERR_INVALID_JSON'],
    ['one that is constructor.prototype', text('{"constructor":{"prototype":{"x":1}}}'), 1007, 'the message is not JSON', 'FST_WS_ERR_INVALID_JSON'],
    ['binary', binary('{"a":1}'), 1003, 'binary messages are not JSON', 'FST_WS_ERR_BINARY_MESSAGE']
  ]
  for (const [name, bytes, closeCode, reason, code] of cases) {
    const heard: unknown[] = []
    const errors: Error[] = []
    const told: Error[] = []
    const over = gate()
    const client = await serve(t, connection => {
      connection.on('json', message => heard.push(message))
      connection.on('error', error => errors.push(error))
      connection.on('close', closed => { t.equal(closed, closeCode, `${name}: as its close event says`); over.open() })
    }, { errorHandler: error => { told.push(error) } })
    client.write(Buffer.concat([json('before'), bytes, json('behind'), text('{')]))
    t.strictSame(await client.closeFrame(), { code: closeCode, reason }, name)
    client.write(Buffer.concat([json('later'), close(closeCode)]))
    await over.passed
    t.strictSame(heard, ['before'], name)
    t.equal(errors.length, 1)
    t.strictSame(told, errors, 'the errorHandler sees the same error, once')
    t.ok(errors[0] instanceof InvalidMessageError)
    t.match(errors[0], { code, closeCode })
  }
})

t.test('also when it waited for a listener, with others behind it', async t => {
  const heard: unknown[] = []
  const early = gate()
  const client = await serve(t, async connection => {
    await early.passed
    connection.on('json', message => heard.push(message))
  })
  client.write(Buffer.concat([json(1), text('{'), json(2)]))
  await turns(5)
  early.open()
  t.equal((await client.closeFrame()).code, 1007)
  client.write(Buffer.concat([json(3), close(1007)]))
  await client.ended
  t.strictSame(heard, [1])
})

t.test('without a json listener, JSON is of no importance', async t => {
  const client = await serve(t, connection => {
    connection.on('message', data => connection.send(data, { binary: false }))
  })
  client.write(text('{'))
  t.equal((await client.frame()).payload.toString(), '{')
})

t.test('onInvalidMessage decides: answer, ignore or close; the connection lives', async t => {
  const seen: [InvalidMessage, string][] = []
  const client = await serve(t, connection => {
    connection.on('json', message => connection.sendJson({ got: message }))
  }, {
    onInvalidMessage (error, connection, data) {
      seen.push([error, data.toString()])
      if (data.toString() === 'ignore') return
      if (data.toString() === 'close') connection.close(4000, 'enough')
      else connection.sendJson({ error: error.code })
    }
  })
  client.write(Buffer.concat([text('answer'), text('ignore'), json(1), binary('x'), text('close')]))
  t.strictSame(await received(client), { error: 'FST_WS_ERR_INVALID_JSON' })
  t.strictSame(await received(client), { got: 1 })
  t.strictSame(await received(client), { error: 'FST_WS_ERR_BINARY_MESSAGE' })
  t.strictSame(await client.closeFrame(), { code: 4000, reason: 'enough' })
  t.strictSame(seen.map(([error, data]) => [error.closeCode, data]), [[1007, 'answer'], [1007, 'ignore'], [1003, 'x'], [1007, 'close']])
})

t.test('B9: what onInvalidMessage throws or rejects with, and what json listeners do, goes to the errorHandler', async t => {
  const told: string[] = []
  let async = false
  const client = await serve(t, connection => {
    connection.on('json', message => { throw new Error(`json ${String(message)}`) })
    connection.on('json', async message => { throw new Error(`async json ${String(message)}`) })
  }, {
    errorHandler: (error, connection) => {
      told.push(error.message)
      if (told.length === 4) connection.close(1000)
    },
    onInvalidMessage (_error, _connection, data) {
      async = !async
      const error = new Error(`invalid ${data.toString()}`)
      if (!async) throw error
      return Promise.reject(error)
    }
  })
  client.write(Buffer.concat([text('a'), text('b'), json(1)]))
  await turns(3)
  client.write(json(2))
  t.equal((await client.closeFrame()).code, 1000)
  t.strictSame(told.sort(), ['invalid a', 'invalid b', 'json 1', 'json 2'])
})

t.test('json(): the messages as they are asked for, until the end; the peer is held back meanwhile', async t => {
  const heard: unknown[] = []
  const done = gate()
  let wasHeldBack = false
  const client = await serve(t, async connection => {
    for await (const message of connection.json()) {
      heard.push(message)
      if (heard.length % 100 === 0) await turns(1)
      wasHeldBack ||= connection.isPaused
    }
    heard.push('over')
    done.open()
  })
  const values = Array.from({ length: 3000 }, (_, i) => ({ i, text: 'x'.repeat(200) }))
  client.write(Buffer.concat([...values.map(json), close(1000)]))
  await done.passed
  t.strictSame(heard, [...values, 'over'])
  t.ok(wasHeldBack)
})

t.test('json() ends with what is wrong, and only what is valid comes out of it', async t => {
  const heard: unknown[] = []
  const done = gate()
  let thrown: unknown
  const client = await serve(t, async connection => {
    try {
      for await (const message of connection.json()) heard.push(message)
    } catch (error) {
      thrown = error
    }
    done.open()
  })
  client.write(Buffer.concat([json(1), text('{'), json(2)]))
  t.equal((await client.closeFrame()).code, 1007)
  client.end()
  await done.passed
  t.strictSame(heard, [1])
  t.match(thrown, { code: 'FST_WS_ERR_INVALID_JSON' })
})

t.test('json() that is left gives back what nobody asked for: to the next loop, to a json listener, or as it came', async t => {
  const heard: unknown[] = []
  const client = await serve(t, async connection => {
    for await (const message of connection.json()) {
      heard.push(message)
      if (heard.length === 2) break
    }
    for await (const message of connection.json()) {
      heard.push(message)
      if (heard.length === 4) break
    }
    for await (const message of connection) {
      heard.push(message)
      if (heard.length === 6) break
    }
    connection.on('json', message => connection.sendJson(message))
  })
  client.write(Buffer.concat([1, 2, 3, 4, 5, 6, 7, 8].map(json)))
  t.equal(await received(client), 7)
  t.equal(await received(client), 8)
  t.strictSame(heard, [1, 2, 3, 4, '5', '6'])
})

t.test('sendJson: what has no form in JSON throws; on a closed connection nothing is sent and the callback is told', async t => {
  const over = gate()
  const client = await serve(t, connection => {
    const cycle: { self?: unknown } = {}
    cycle.self = cycle
    for (const value of [undefined, () => {}, Symbol('s'), cycle, 1n]) t.throws(() => connection.sendJson(value), TypeError)
    t.ok(connection.sendJson({ toJSON: () => 'its own form' }, { compress: false }))
    connection.sendJson('called back', error => {
      t.notOk(error)
      connection.close(1000)
      t.notOk(connection.sendJson('late', error => {
        t.match(error, { message: /not open/ })
        over.open()
      }))
    })
  })
  t.equal(await received(client), 'its own form')
  t.equal(await received(client), 'called back')
  t.equal((await client.closeFrame()).code, 1000)
  await over.passed
})

t.test('broadcastJson: serialized once, for all, without those excepted; not at all if there is nobody', async t => {
  const { app, port } = await startApp(t, app => {
    app.get('/a', { websocket: true }, connection => {
      connection.on('json', message => connection.route.broadcastJson(message, { except: connection }))
    })
    app.get('/b', { websocket: true }, () => {})
  })
  let serialized = 0
  const counted = { toJSON: () => ++serialized }
  t.equal(app.websocketServer.broadcastJson(counted), 0)
  t.equal(serialized, 0)

  const [a1, a2, b] = await Promise.all([RawClient.open(port, '/a'), RawClient.open(port, '/a'), RawClient.open(port, '/b')])
  t.teardown(() => { for (const client of [a1, a2, b]) client.destroy() })
  t.equal(app.websocketServer.route('/a').broadcastJson(counted), 2)
  t.equal(serialized, 1)
  t.equal(await received(a1), 1)
  t.equal(await received(a2), 1)

  a1.write(json('from a1'))
  t.equal(await received(a2), 'from a1')
  t.equal(app.websocketServer.broadcastJson('to all', { filter: connection => connection.route.url === '/b' }), 1)
  t.equal(await received(b), 'to all')
  t.throws(() => app.websocketServer.broadcastJson(undefined), TypeError)
  t.equal(app.websocketServer.broadcastJson('last'), 3)
  t.equal(await received(a1), 'last')
})

t.test('injectWS: its client speaks JSON too', async t => {
  const { app } = await startApp(t, app => {
    app.get('/', { websocket: true }, connection => {
      connection.on('json', message => connection.sendJson({ got: message }))
    })
  })
  const client = await app.injectWS('/')
  client.sendJson([1])
  t.strictSame((await once(client, 'json'))[0], { got: [1] })
  client.terminate()
})

t.test('onProtoPoisoning and onConstructorPoisoning of Fastify hold for messages', async t => {
  const { port } = await startApp(t, app => {
    app.get('/', { websocket: true }, connection => {
      connection.on('json', message => connection.sendJson(message))
    })
  }, {}, { onProtoPoisoning: 'remove', onConstructorPoisoning: 'remove' })
  const client = await RawClient.open(port)
  t.teardown(() => client.destroy())
  client.write(text('{"__proto__":{"x":1},"constructor":{"prototype":{"y":1}},"a":1}'))
  t.strictSame(await received(client), { a: 1 })
})
