import { EventEmitter, once } from 'node:events'
import type { Duplex } from 'node:stream'
import type {
  AnyWebSocketConnection, BinaryType, SendCallback, SendOptions, WebSocketCloseEvent, WebSocketConnection, WebSocketConnections, WebSocketData, WebSocketErrorEvent, WebSocketEvent,
  WebSocketMessageEvent, WebSocketRouteConnections
} from '../../lib/index.js'
import { expectAssignable, expectType } from './expect.js'

// The object that a handler gets.

declare const connection: WebSocketConnection

// --- state

expectType<0 | 1 | 2 | 3>()(connection.readyState)
expectType<0>()(connection.CONNECTING)
expectType<1>()(connection.OPEN)
expectType<2>()(connection.CLOSING)
expectType<3>()(connection.CLOSED)
expectType<string>()(connection.protocol)
expectType<string>()(connection.extensions)
expectType<string>()(connection.url)
expectType<number>()(connection.bufferedAmount)
expectType<BinaryType>()(connection.binaryType)
expectType<boolean>()(connection.isPaused)
expectType<number | undefined>()(connection.latency)
expectType<AbortSignal>()(connection.signal)
expectType<WebSocketRouteConnections>()(connection.route)
expectAssignable<EventEmitter>(connection)
connection.binaryType = 'arraybuffer'
// @ts-expect-error there is no such type
connection.binaryType = 'text'
// @ts-expect-error read-only
connection.readyState = 3
// @ts-expect-error read-only
connection.protocol = 'chat'
// @ts-expect-error read-only
connection.signal = new AbortController().signal
// @ts-expect-error what only the package itself uses is not to be seen
console.log(connection._socket)

// --- sending

const callback: SendCallback = (error) => { expectType<Error | null | undefined>()(error) }
const data: WebSocketData[] = ['text', Buffer.from('x'), new Uint8Array(1), new Float64Array(1), new DataView(new ArrayBuffer(1)), new ArrayBuffer(1), new SharedArrayBuffer(1)]
for (const one of data) expectType<boolean>()(connection.send(one))
expectType<boolean>()(connection.send('x', callback))
expectType<boolean>()(connection.send('x', (error) => { expectType<Error | null | undefined>()(error) }))
expectType<boolean>()(connection.send('x', { binary: true, fin: false }, callback))
expectType<boolean>()(connection.send('x', { compress: false }))
expectType<boolean>()(connection.send(Buffer.from('x'), { compress: true, binary: false }, callback))
expectType<boolean>()(connection.send('x', undefined, callback))
// the options that callers of `ws` give
expectAssignable<SendOptions>({} as { mask?: boolean, binary?: boolean, compress?: boolean, fin?: boolean })
expectType<void>()(connection.ping())
expectType<void>()(connection.ping('x'))
expectType<void>()(connection.ping('x', false, callback))
expectType<void>()(connection.ping(Buffer.from('x'), callback))
expectType<void>()(connection.ping(undefined, callback))
expectType<void>()(connection.ping(callback))
expectType<void>()(connection.pong())
expectType<void>()(connection.pong('x', false, callback))
expectType<void>()(connection.pong(new ArrayBuffer(1), callback))
expectType<void>()(connection.pong(callback))
expectType<void>()(connection.close())
expectType<void>()(connection.close(1000))
expectType<void>()(connection.close(4000, 'bye'))
expectType<void>()(connection.close(4000, Buffer.from('bye')))
expectType<void>()(connection.terminate())
expectType<void>()(connection.pause())
expectType<void>()(connection.resume())

// C4: numbers, and whatever else is not bytes, are refused before the program runs
// @ts-expect-error a number has leaked memory before
connection.send(16)
// @ts-expect-error an object is not serialised by anybody
connection.send({ hello: 'world' })
// @ts-expect-error
connection.send([1, 2, 3])
// @ts-expect-error
connection.send(null)
// @ts-expect-error
connection.send(undefined)
expectType<boolean>()(connection.send(new Blob(['x'])))
connection.ping(new Blob(['x']))
connection.pong(new Blob(['x']), false)
// @ts-expect-error a broadcast is framed at once
connection.route.broadcast(new Blob(['x']))
// @ts-expect-error
connection.send()
// @ts-expect-error no encodings, as streams have them
connection.send('x', 'utf8')
// @ts-expect-error there is no such option
connection.send('x', { opcode: 1 })
// @ts-expect-error an option is true or false
connection.send('x', { binary: 'yes' })
// @ts-expect-error
connection.send('x', { compress: 6 })
// @ts-expect-error a control frame is never compressed (RFC 7692 §6.1)
connection.ping('x', { compress: false })
// @ts-expect-error the callback gets an error, not a result
connection.send('x', (result: string) => result)
// @ts-expect-error
connection.ping(16)
// @ts-expect-error
connection.ping({})
// @ts-expect-error
connection.ping(null)
// @ts-expect-error
connection.pong(16)
// @ts-expect-error
connection.pong(['x'])
// @ts-expect-error a code is a number
connection.close('1000')
// @ts-expect-error
connection.close({ code: 1000 })
// @ts-expect-error a reason alone has no place in the frame
connection.close('bye')
// @ts-expect-error a reason is text
connection.close(1000, 16)
// @ts-expect-error
connection.close(1000, { reason: 'bye' })
connection.close(1000, new Uint8Array(4))
// @ts-expect-error as in `ws`, it takes nothing
connection.terminate(1000)

// --- events

expectType<WebSocketConnection>()(connection.on('message', (data, isBinary) => {
  expectType<Buffer>()(data)
  expectType<boolean>()(isBinary)
}))
connection.on('close', (code, reason) => {
  expectType<number>()(code)
  expectType<Buffer>()(reason)
})
connection.on('error', (error) => { expectType<Error>()(error) })
connection.on('ping', (data) => { expectType<Buffer>()(data) })
connection.on('pong', (data) => { expectType<Buffer>()(data) })
connection.on('drain', (...args) => { expectType<[]>()(args) })
connection.on('open', (...args) => { expectType<[]>()(args) })
connection.once('message', (data, isBinary) => {
  expectType<Buffer>()(data)
  expectType<boolean>()(isBinary)
})
connection.addListener('message', (data) => { expectType<Buffer>()(data) })
connection.prependListener('close', (code) => { expectType<number>()(code) })
connection.prependOnceListener('close', (code, reason) => { expectType<[number, Buffer]>()([code, reason] as [typeof code, typeof reason]) })
connection.on('message', async (data) => { expectType<Buffer>()(data) })
connection.on('message', () => {})
const listener = (data: Buffer): void => { connection.send(data) }
connection.on('message', listener).off('message', listener)
// @ts-expect-error there is no such event
connection.on('messages', (data) => { connection.send(data) })
// @ts-expect-error a message is not a string
connection.on('message', (data: string) => { connection.send(data) })
// @ts-expect-error there is no third argument
connection.on('message', (data, isBinary, flags) => { connection.send(`${data}${isBinary}${flags}`) })
// @ts-expect-error `close` has no event object; `onclose` has
connection.on('close', (event) => { console.log(event.code) })
// @ts-expect-error a drain tells nothing
connection.on('drain', (bytes: number) => bytes)
expectAssignable<Promise<unknown[]>>(once(connection, 'message'))

// --- as browsers have it

connection.addEventListener('message', (event) => {
  expectType<WebSocketMessageEvent>()(event)
  expectType<string | Buffer | ArrayBuffer | Buffer[] | Blob>()(event.data)
  expectType<'message'>()(event.type)
  expectType<AnyWebSocketConnection>()(event.target)
})
connection.addEventListener('close', (event) => {
  expectType<WebSocketCloseEvent>()(event)
  expectType<number>()(event.code)
  expectType<string>()(event.reason)
  expectType<boolean>()(event.wasClean)
}, { once: true })
connection.addEventListener('error', (event) => {
  expectType<WebSocketErrorEvent>()(event)
  expectType<Error>()(event.error)
  expectType<string>()(event.message)
})
connection.addEventListener('open', (event) => { expectType<WebSocketEvent>()(event) })
connection.addEventListener('close', { handleEvent: (event) => { expectType<WebSocketCloseEvent>()(event) } })
connection.removeEventListener('message', (event) => { expectType<WebSocketMessageEvent>()(event) })
// @ts-expect-error browsers have no such event
connection.addEventListener('ping', () => {})
// @ts-expect-error a close event has no data
connection.addEventListener('close', (event) => event.data)
// @ts-expect-error a listener is a function or has one
connection.addEventListener('close', 'listener')
connection.onmessage = (event) => { expectType<WebSocketMessageEvent>()(event) }
connection.onclose = (event) => { expectType<WebSocketCloseEvent>()(event) }
connection.onerror = async (event) => { expectType<WebSocketErrorEvent>()(event) }
connection.onopen = (event) => { expectType<WebSocketEvent>()(event) }
connection.onmessage = null
// @ts-expect-error a close event has no data
connection.onclose = (event) => event.data
// @ts-expect-error an `on…` property is a function or null
connection.onmessage = 'listener'

// --- other views

for await (const message of connection) {
  expectType<string | Buffer>()(message)
  if (typeof message === 'string') expectType<string>()(message.trim())
  else expectType<Buffer>()(message)
}
expectType<AsyncIterableIterator<string | Buffer>>()(connection[Symbol.asyncIterator]())
expectType<Duplex>()(connection.stream())
expectType<Duplex>()(connection.stream({ decodeStrings: false, readableObjectMode: true, highWaterMark: 1 }))
// @ts-expect-error the options are those of a Duplex
connection.stream({ objectMode: 'yes' })
connection.signal.addEventListener('abort', () => {})
fetch('http://localhost', { signal: connection.signal })

// --- the connections of one route

expectAssignable<WebSocketConnections>(connection.route)
expectType<string>()(connection.route.url)
expectType<ReadonlySet<WebSocketConnection>>()(connection.route.clients)
expectType<number>()(connection.route.broadcast('x', { except: connection }))
