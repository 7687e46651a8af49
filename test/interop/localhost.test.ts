import t from 'tap'
import { once } from 'node:events'
import dns from 'node:dns'
import { createServer, type AddressInfo } from 'node:net'
import { lookup } from 'node:dns/promises'
import { Refused } from './clients/client.js'
import { wsClient } from './clients/ws.js'
import { undiciClient } from './clients/undici.js'
import { RawClient, upgradeRequest } from '../support/raw-client.js'
import { startInteropServer, type InteropServer } from './server.js'
import { interopSuite } from './suite.js'

async function hasIPv6 (): Promise<boolean> {
  const server = createServer().listen(0, '::1')
  const isListening = await once(server, 'listening').then(() => true, () => false)
  if (isListening) server.close()
  return isListening
}

/** On many machines `localhost` has only one address: then this lookup gives Fastify the other one as well. */
const addresses = await lookup('localhost', { all: true })
if (!addresses.some(({ address }) => address === '::1')) {
  const { lookup } = dns
  const both = [{ address: '127.0.0.1', family: 4 }, { address: '::1', family: 6 }]
  dns.lookup = ((host: string, options: object, callback: (error: null, found: typeof both) => void) => {
    if (host === 'localhost' && 'all' in options) process.nextTick(callback, null, both)
    else Reflect.apply(lookup, dns, [host, options, callback])
  }) as typeof dns.lookup
  t.teardown(() => { dns.lookup = lookup })
}

async function startOnLocalhost (t: Parameters<typeof startInteropServer>[0]): Promise<{ server: InteropServer, port: number }> {
  const server = await startInteropServer(t, { host: 'localhost', port: 0 })
  const [first, ...others] = server.app.addresses() as AddressInfo[]
  if (others.length === 0) throw new Error('Fastify listens on one address only')
  return { server, port: first!.port }
}

t.test('B7: localhost with both addresses', { skip: !(await hasIPv6()) && 'this machine has no ::1' }, async t => {
  for (const host of ['127.0.0.1', '[::1]']) {
    t.test(`ws at ${host}`, async t => {
      const { server, port } = await startOnLocalhost(t)
      await interopSuite(t, wsClient, { url: `ws://${host}:${port}` }, server)
    })

    t.test(`undici at ${host}`, async t => {
      const { server, port } = await startOnLocalhost(t)
      await interopSuite(t, undiciClient, { url: `ws://${host}:${port}` }, server)
    })
  }

  t.test('connections of both are the same app\'s', async t => {
    const { server, port } = await startOnLocalhost(t)
    const four = await wsClient.open(`ws://127.0.0.1:${port}/echo`)
    const six = await wsClient.open(`ws://[::1]:${port}/echo`)
    t.equal(server.app.websocketServer.clients.size, 2)
    t.equal(server.app.websocketServer.broadcast('to all'), 2)
    t.equal(await four.next(), 'to all')
    t.equal(await six.next(), 'to all')
    // Closing ends both, and waits for both.
    const isClosed = server.app.close()
    t.equal((await four.closed).code, 1001)
    t.equal((await six.closed).code, 1001)
    await isClosed
  })

  t.test('each has its own origin', async t => {
    const { port } = await startOnLocalhost(t)
    const four = { headers: { Origin: `http://127.0.0.1:${port}` } }
    const six = { headers: { Origin: `http://[::1]:${port}` } }
    for (const [url, right, wrong] of [[`ws://127.0.0.1:${port}`, four, six], [`ws://[::1]:${port}`, six, four]] as const) {
      const refused = await wsClient.open(`${url}/echo`, wrong).then(() => null, (error: unknown) => error)
      t.ok(refused instanceof Refused && refused.status === 403, `${wrong.headers.Origin} at ${url}`)
      const connection = await wsClient.open(`${url}/echo`, right)
      connection.close(1000)
      await connection.closed
    }
  })

  for (const host of ['127.0.0.1', '::1']) {
    t.test(`an upgrade at ${host} that comes while the app closes is answered`, async t => {
      const { server, port } = await startOnLocalhost(t)
      const early = await RawClient.connect(port, host)
      const silent = await RawClient.connect(port, host === '::1' ? '127.0.0.1' : '::1')
      silent.write(upgradeRequest('/echo'))
      await silent.head()
      // The silent client keeps the app from being closed until the answer is there.
      const isClosed = server.app.close()
      await silent.closeFrame()
      early.write(upgradeRequest('/echo'))
      t.equal((await early.response()).status, 503)
      silent.destroy()
      early.destroy()
      await isClosed
    })
  }
})
