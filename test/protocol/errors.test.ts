import t from 'tap'
import Fastify from 'fastify'
import { inspect } from 'node:util'
import {
  HandshakeError,
  InvalidPayloadError,
  MessageTooBigError,
  ProtocolError,
  RateLimitError,
  SlowReaderError,
  WebSocketError
} from '../../lib/protocol/errors.js'

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
