import t from 'tap'
import { OptionError } from '../../lib/errors.js'
import { redis, type RedisBrokerOptions } from '../../lib/redis/index.js'

// No Redis is needed here: test/brokers has the rest.

const noop = (): void => {}
const ioredis = { status: 'wait', duplicate: noop, callBuffer: noop, connect: noop, disconnect: noop }
const nodeRedis = { isReady: false, duplicate: noop, sendCommand: noop, withTypeMapping: noop, connect: noop, destroy: noop }

t.test('clients that are known', async t => {
  for (const client of [ioredis, { ...ioredis, isCluster: true }, nodeRedis, { ...nodeRedis, isReady: undefined, masters: [], nodeClient: noop }]) {
    t.equal(redis({ client }).name, 'redis')
  }
})

const WRONG: Array<[name: string, options: unknown, message: RegExp]> = [
  ['no options', undefined, /the options of redis\(\) must be an object such as \{ client \}, not undefined/],
  ['a client alone', 'redis://localhost', /the options of redis\(\) must be an object/],
  ['no client', {}, /option 'client' of redis\(\) must be a client of ioredis 5 or 6, .* not undefined/],
  ['an address', { client: 'redis://localhost' }, /option 'client' .* not 'redis:\/\/localhost'/],
  ['another object', { client: new Map() }, /option 'client' .* not a Map/],
  ['a client of node-redis 4', { client: { ...nodeRedis, withTypeMapping: undefined } }, /option 'client'/],
  ['a pool', { client: { ...nodeRedis, isReady: undefined, execute: noop } }, /option 'client' .* createClient or createCluster/],
  ['a client of Sentinel', { client: { ...nodeRedis, isReady: true, acquire: noop } }, /option 'client' .* createClient or createCluster/],
  ['a keyPrefix with a hash tag', { client: { ...ioredis, options: { keyPrefix: '{app}' } } }, /option 'client' .* keyPrefix has no \{ and \}.* not '\{app\}'/],
  ['an unknown option', { client: ioredis, url: 'x' }, /redis\(\) has no option 'url'; it has 'client', 'prefix', 'timeout'/],
  ['a prefix that is no string', { client: ioredis, prefix: 1 }, /option 'prefix' .* not 1/],
  ['a prefix with a hash tag', { client: ioredis, prefix: '{x}' }, /option 'prefix'/],
  ['a long prefix', { client: ioredis, prefix: 'x'.repeat(65) }, /option 'prefix'/],
  ['a timeout of 0', { client: ioredis, timeout: 0 }, /option 'timeout' .* an integer from 100 to 2147483647, milliseconds, not 0/],
  ['a timeout that is a string', { client: ioredis, timeout: '5s' }, /option 'timeout'/]
]

for (const [name, options, message] of WRONG) {
  t.test(`refuses ${name}`, async t => {
    const error = t.throws(() => redis(options as RedisBrokerOptions)) as unknown as OptionError
    t.ok(error instanceof OptionError)
    t.match(error.message, message)
    t.equal(error.code, 'FST_WS_ERR_INVALID_OPTION')
  })
}

t.test('before it is started, and after it is closed, everything is rejected', async t => {
  const broker = redis({ client: ioredis })
  const message = { id: '1', data: Buffer.alloc(1), history: null }
  await t.rejects(broker.publish('a', message), { message: 'the broker is closed' })
  await broker.close()
  const promises: Array<Promise<unknown>> = [
    broker.subscribe(['a']), broker.unsubscribe(['a']), broker.publish('a', message), broker.read('a', null, 1), broker.presence.count('a')
  ]
  for (const promise of promises) {
    await t.rejects(promise, { message: 'the broker is closed' })
  }
})
