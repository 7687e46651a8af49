import t from 'tap'
import type { FastifyInstance } from 'fastify'
import { startApp } from '../support/app.js'
import { connectHttp2, openHttp2 } from '../support/http2-client.js'
import { binary, close, continuation, RawClient, text } from '../support/raw-client.js'

// An app may hand a message to a worker with its memory: `postMessage(data, [data.buffer])`. Node refuses that for its own
// pool. Whatever becomes of it, the memory that messages share stays with the connections.

/** Messages of every size that has a memory of its own: slabs, groups, views of a chunk, copies, buffers that have grown. */
const SIZES = [0, 1, 20, 20, 0, 500, 3000, 2049, 9000, 20_000, 5, 70_000, 0, 16]

function transferring (app: FastifyInstance): void {
  app.get('/', { websocket: true }, connection => {
    connection.on('message', data => {
      const { length } = data
      const isWhole = data.every((byte, index) => byte === (index & 0xff))
      try {
        structuredClone(data.buffer, { transfer: [data.buffer as ArrayBuffer] })
      } catch (error) {
        if ((error as Error).name !== 'DataCloneError') throw error
      }
      connection.send(`${length} ${isWhole}`)
    })
  })
}

const payloadOf = (size: number): Buffer => Buffer.from(Uint8Array.from({ length: size }, (_, index) => index & 0xff))

/** All messages at once, so that they share chunks, and one by one; the last in fragments. */
async function converse (client: RawClient): Promise<string[]> {
  const answers: string[] = []
  const frames = SIZES.map(size => binary(payloadOf(size)))
  client.write(Buffer.concat(frames))
  for (let i = 0; i < frames.length; i++) answers.push((await client.frame()).payload.toString())
  for (const frame of frames) {
    client.write(frame)
    answers.push((await client.frame()).payload.toString())
  }
  const fragments = payloadOf(1000)
  client.write(Buffer.concat([binary(fragments.subarray(0, 10), { fin: false }), continuation(fragments.subarray(10)), text('')]))
  for (let i = 0; i < 2; i++) answers.push((await client.frame()).payload.toString())
  client.write(close(1000))
  answers.push(String((await client.frame()).payload.readUInt16BE(0)))
  client.end()
  return answers
}

const EXPECTED = [...SIZES, ...SIZES, 1000, 0].map(size => `${size} true`).concat('1000')

t.test('over TCP', async t => {
  const { port } = await startApp(t, transferring)
  for (const name of ['first', 'second']) t.same(await converse(await RawClient.open(port)), EXPECTED, `${name} connection`)
})

t.test('over HTTP/2', async t => {
  const { port } = await startApp(t, transferring, {}, { http2: true })
  const session = await connectHttp2(t, `http://127.0.0.1:${port}`)
  for (const name of ['first', 'second']) t.same(await converse(await openHttp2(session)), EXPECTED, `${name} connection`)
})

t.test('with injectWS', async t => {
  const { app } = await startApp(t, transferring)
  const client = await app.injectWS('/')
  const answers: string[] = []
  client.on('message', data => answers.push(String(data)))
  for (const size of SIZES) client.send(payloadOf(size))
  client.close(1000)
  await new Promise(resolve => client.on('close', resolve))
  t.same(answers, SIZES.map(size => `${size} true`))
})
