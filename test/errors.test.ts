import t from 'tap'
import Fastify from 'fastify'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import * as api from '../lib/index.js'
import websocket from '../lib/index.js'
import { isReceivableCloseCode } from '../lib/protocol/close-codes.js'
import {
  createError,
  describe,
  ERRORS,
  HandshakeError,
  InjectError,
  InvalidPayloadError,
  MessageTooBigError,
  ProtocolError,
  RateLimitError,
  SlowReaderError,
  UnexpectedResponseError,
  WebSocketError,
  type ErrorCode
} from '../lib/errors.js'

const LIB = fileURLToPath(new URL('../lib', import.meta.url))

t.test('every error has its class, name, code and close code', async t => {
  const cases = [
    { error: new WebSocketError('m', 'FST_WS_ERR_SOME', 1011), name: 'WebSocketError', code: 'FST_WS_ERR_SOME', closeCode: 1011 },
    { error: new ProtocolError('m'), name: 'ProtocolError', code: 'FST_WS_ERR_PROTOCOL', closeCode: 1002 },
    { error: new InvalidPayloadError('m'), name: 'InvalidPayloadError', code: 'FST_WS_ERR_INVALID_PAYLOAD', closeCode: 1007 },
    { error: new MessageTooBigError('m'), name: 'MessageTooBigError', code: 'FST_WS_ERR_MESSAGE_TOO_BIG', closeCode: 1009 },
    { error: new RateLimitError('m'), name: 'RateLimitError', code: 'FST_WS_ERR_RATE_LIMIT', closeCode: 1008 },
    { error: new SlowReaderError('m'), name: 'SlowReaderError', code: 'FST_WS_ERR_SLOW_READER', closeCode: 1013 }
  ]
  for (const { error, name, code, closeCode } of cases) {
    t.ok(error instanceof WebSocketError && error instanceof Error, name)
    t.equal(error.name, name)
    t.equal(error.message, 'm')
    t.equal(error.code, code)
    t.equal(error.closeCode, closeCode)
    t.ok(error.stack?.startsWith(`${name}: m\n`), `the stack of ${name} begins with its name`)
    t.same(Object.keys(error), ['code', 'closeCode'], 'the name is not an own property')
    t.match(inspect(error), name)
  }
})

t.test('a protocol error may have a more specific code', async t => {
  const cause = new Error('why')
  const error = new ProtocolError('unmasked', 'FST_WS_ERR_MASK_REQUIRED', undefined, { cause })
  t.equal(error.code, 'FST_WS_ERR_MASK_REQUIRED')
  t.equal(error.closeCode, 1002)
  t.equal(error.cause, cause)
})

t.test('a handshake error has status and header fields', async t => {
  const plain = new HandshakeError('m', 'FST_WS_ERR_HANDSHAKE_KEY')
  t.equal(plain.name, 'HandshakeError')
  t.ok(plain.stack?.startsWith('HandshakeError: m\n'))
  t.equal(plain.statusCode, 400)
  t.same(plain.headers, {})
  t.notOk(plain instanceof WebSocketError, 'there is no connection yet that it could close')

  const cause = new Error('why')
  const error = new HandshakeError('m', 'FST_WS_ERR_HANDSHAKE_METHOD', 405, { Allow: 'GET' }, { cause })
  t.equal(error.code, 'FST_WS_ERR_HANDSHAKE_METHOD')
  t.equal(error.statusCode, 405)
  t.same(error.headers, { Allow: 'GET' })
  t.equal(error.cause, cause)
})

t.test('the header fields that a refusal must carry are in the catalogue, and each error has its own', async t => {
  const REQUIRED = { FST_WS_ERR_HANDSHAKE_METHOD: { Allow: 'GET' }, FST_WS_ERR_CLOSING: { 'Retry-After': '1' }, FST_WS_ERR_MAX_CONNECTIONS: { 'Retry-After': '1' } }
  for (const code of Object.keys(REQUIRED) as Array<keyof typeof REQUIRED>) {
    const error = createError(code, undefined, { headers: { 'X-More': '1' } })
    t.same(error.headers, { ...REQUIRED[code], 'X-More': '1' }, code)
    error.headers['X-Own'] = '1'
    t.same(createError(code).headers, REQUIRED[code], `${code}: what an app adds to one is not in the next`)
  }
})

t.test('Fastify answers a thrown handshake error with its status and header fields', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.get('/', () => {
    throw new HandshakeError('only GET', 'FST_WS_ERR_HANDSHAKE_METHOD', 405, { Allow: 'GET' })
  })
  const response = await app.inject('/')
  t.equal(response.statusCode, 405)
  t.equal(response.headers.allow, 'GET')
  t.equal(response.json().code, 'FST_WS_ERR_HANDSHAKE_METHOD')
})

t.test('the catalogue: each code makes its class, with name, code, message, and close code or status', async t => {
  for (const [code, entry] of Object.entries(ERRORS)) {
    if (!('create' in entry)) continue
    const cause = new Error('why')
    const error = entry.create(code as ErrorCode, 'm', { cause })
    t.ok(error instanceof entry.errorClass, code)
    t.equal(error.name, entry.errorClass.name)
    t.equal(error.stack?.split('\n', 1)[0], `${error.name}: m`)
    t.equal(error.code, code)
    t.equal(error.message, 'm')
    t.equal(error.cause, cause)
    t.equal('closeCode' in error ? error.closeCode : undefined, 'closeCode' in entry ? entry.closeCode : undefined)
    t.equal('statusCode' in error ? error.statusCode : undefined, 'statusCode' in entry ? entry.statusCode : undefined)
    if ('closeCode' in entry) t.ok(isReceivableCloseCode(entry.closeCode), `a peer can be sent ${entry.closeCode}`)
  }
})

t.test('createError has the message of the catalogue, and what it is given', async t => {
  t.match(createError('FST_WS_ERR_ORIGIN'), { message: 'Origin is not allowed', statusCode: 403, headers: {} })
  const refused = createError('FST_WS_ERR_HANDSHAKE_VERSION', 'twice', { statusCode: 400, headers: { Allow: 'GET' } })
  t.match(refused, { message: 'twice', statusCode: 400, headers: { Allow: 'GET' } })
  const invalid = createError('FST_WS_ERR_INVALID_MESSAGE', undefined, { validation: [] })
  t.match(invalid, { closeCode: 1008, validation: [], validationContext: 'message' })
  t.equal(createError('FST_WS_ERR_INVALID_JSON').validationContext, undefined)
  t.ok(createError('FST_WS_ERR_OUT_OF_RANGE') instanceof RangeError)
  t.ok(createError('FST_WS_ERR_INVALID_OPTION') instanceof TypeError)
  const unexpected = new UnexpectedResponseError(404, { a: 'b' }, 'body')
  t.ok(unexpected instanceof InjectError)
  t.match(unexpected, { name: 'Error', code: 'FST_WS_ERR_UNEXPECTED_RESPONSE', statusCode: 404, headers: { a: 'b' }, body: 'body' })
})

t.test('every class of the catalogue is an export of the package, but those that are built in', async t => {
  const exported = new Set<unknown>(Object.values(api))
  for (const { errorClass } of Object.values(ERRORS)) t.ok(exported.has(errorClass) || errorClass.name in globalThis, errorClass.name)
})

t.test('describe has the right article for everything that an app may pass', async t => {
  class Url {}
  class Empty {}
  Object.defineProperty(Empty, 'name', { value: '' })
  const cases: [unknown, string][] = [
    [null, 'null'], [undefined, 'undefined'], [5, '5'], [NaN, 'NaN'], [5n, '5'], [true, 'true'], ['x', "'x'"], [Symbol('s'), 'a symbol'], [() => {}, 'a function'],
    [{}, 'an object'], [Object.create(null), 'an object'], [{ constructor: 5 }, 'an object'], [new Empty(), 'an object'], [[], 'an array'],
    [new Date(), 'a Date'], [new ArrayBuffer(0), 'an ArrayBuffer'], [new Error('x'), 'an Error'], [new Url(), 'a Url'], [Promise.resolve(), 'a Promise'], [new Uint8Array(0), 'a Uint8Array']
  ]
  for (const [value, words] of cases) t.equal(describe(value), words)
})

t.test('what an app gets thrown, rejected or passed to a callback has a code', async t => {
  const handled: Error[] = []
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(websocket, { errorHandler: error => { handled.push(error) } })
  app.get('/', { websocket: true }, () => {})
  app.get('/throws', { websocket: true }, () => { throw 'no Error' }) // eslint-disable-line no-throw-literal

  const client = await app.injectWS('/')
  t.throws(() => client.send(5 as never), { name: 'TypeError', code: 'FST_WS_ERR_INVALID_ARGUMENT', message: 'data must be a string, a Buffer, an ArrayBuffer or a view of one, not 5' })
  t.throws(() => client.send({} as never), { message: /, not an object$/ })
  t.throws(() => client.send([] as never), { message: /, not an array$/ })
  t.throws(() => client.close('1000' as never), { name: 'TypeError', code: 'FST_WS_ERR_INVALID_ARGUMENT', message: "close code must be a number, not '1000'" })
  t.throws(() => client.close(1000, 5 as never), { name: 'TypeError', code: 'FST_WS_ERR_INVALID_ARGUMENT' })
  t.throws(() => client.close(1005), { name: 'RangeError', code: 'FST_WS_ERR_OUT_OF_RANGE' })
  t.throws(() => client.close(1000, 'x'.repeat(124)), { name: 'RangeError', code: 'FST_WS_ERR_OUT_OF_RANGE' })
  t.throws(() => client.ping('x'.repeat(126)), { name: 'RangeError', code: 'FST_WS_ERR_OUT_OF_RANGE' })
  t.throws(() => client.sendJson(() => {}), { name: 'TypeError', code: 'FST_WS_ERR_NOT_SERIALIZABLE', message: 'a function cannot be serialized to JSON' })
  t.throws(() => app.websocketServer.route('/nowhere'), { name: 'UnknownRouteError', code: 'FST_WS_ERR_UNKNOWN_ROUTE' })

  client.terminate()
  for (const method of ['send', 'sendJson', 'ping', 'pong'] as const) {
    const notOpen = await new Promise<unknown>(resolve => { (client[method] as (data: string, callback: (error: unknown) => void) => void)('x', resolve) })
    t.match(notOpen, { name: 'NotOpenError', code: 'FST_WS_ERR_NOT_OPEN', message: /^WebSocket is not open: readyState is [23]$/ }, method)
  }

  const thrower = await app.injectWS('/throws')
  thrower.terminate()
  t.match(handled, [{ name: 'ThrownValueError', code: 'FST_WS_ERR_THROWN_VALUE', cause: 'no Error' }])
  await t.rejects(app.injectWS('/nowhere'), { name: 'Error', code: 'FST_WS_ERR_UNEXPECTED_RESPONSE', statusCode: 404 })
})

t.test('no module makes an error without a code', async t => {
  // The ends of `injectWS` and the native handle of zlib make errors as Node does, with its codes. A policy that failed is an error
  // of the app's.
  const own = ['errors.ts', 'compression/zlib-context.ts', 'declared-topics/refusals.ts']
  // Errors of brokers are causes of ours, and the client is no part of the server.
  const apart = /^(broker-tests|client|nats|redis)\//
  for (const name of await readdir(LIB, { recursive: true })) {
    if (!name.endsWith('.ts') || own.includes(name) || apart.test(name) || name.endsWith('socket-pair.ts')) continue
    t.notMatch(await readFile(join(LIB, name), 'utf8'), /new (Type|Range)?Error\(|extends (Type|Range)?Error\b/, name)
  }
})
