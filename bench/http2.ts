// npm run bench:http2
//
// What HTTP/2 costs: the same echo route over HTTP/1.1, where each connection has a TCP connection of its own, and over
// HTTP/2, where all are streams of one session. The server is a process of its own, whose CPU time counts.
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { connect as connectHttp2, type ClientHttp2Session, type SecureClientSessionOptions } from 'node:http2'
import { connect as connectTcp, type AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { fileURLToPath } from 'node:url'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import websocket from '../lib/index.js'
import { certificate } from '../test/support/certificate.js'
import { frame, upgradeRequest } from '../test/support/raw-client.js'

const CONNECTIONS = 50
const SECONDS = 3

type Version = 'HTTP/1.1' | 'HTTP/2'

interface Setting {
  version: Version
  tls: boolean
}

/** A connection of bytes whose handshake is done. */
type Connect = () => Promise<Duplex>

interface Workload {
  name: string
  /** Bytes of a message. */
  size: number
  /** Messages that a connection has under way. */
  inFlight: number
}

const WORKLOADS: Workload[] = [
  { name: '64 bytes, one at a time', size: 64, inFlight: 1 },
  { name: '64 bytes, 32 at a time', size: 64, inFlight: 32 },
  { name: '16 KiB, one at a time', size: 16 * 1024, inFlight: 1 },
  { name: '1 MiB, one at a time', size: 1024 * 1024, inFlight: 1 }
]

if (process.argv[2] === 'server') await serve(JSON.parse(process.argv[3]!) as Setting)
else await measureAll()

async function serve ({ version, tls }: Setting): Promise<void> {
  const options = { http2: version === 'HTTP/2', ...(tls ? { https: certificate } : {}) }
  const app = Fastify(options as FastifyServerOptions) as FastifyInstance
  await app.register(websocket)
  app.get('/', { websocket: { maxPayload: 2 * 1024 * 1024 } }, connection => {
    connection.on('message', (data, isBinary) => connection.send(data, { binary: isBinary }))
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  process.on('message', () => process.send!(process.cpuUsage()))
  process.on('disconnect', () => process.exit())
  process.send!((app.server.address() as AddressInfo).port)
}

async function measureAll (): Promise<void> {
  console.log(`Node ${process.versions.node}; microseconds of the server's CPU time, ${CONNECTIONS} connections\n`)
  console.log(`| transport | a handshake | ${WORKLOADS.map(({ name }) => name).join(' | ')} |`)
  console.log(`|---|---:|${WORKLOADS.map(() => '---:|').join('')}`)
  for (const tls of [false, true]) {
    for (const version of ['HTTP/1.1', 'HTTP/2'] as const) {
      const figures = await measure({ version, tls })
      console.log(`| ${version}${tls ? ', TLS' : ''} | ${figures.map(figure => figure.toFixed(1)).join(' | ')} |`)
    }
  }
}

async function measure (setting: Setting): Promise<number[]> {
  const server = fork(fileURLToPath(import.meta.url), ['server', JSON.stringify(setting)])
  const [port] = await once(server, 'message') as [number]
  const url = `${setting.tls ? 'https' : 'http'}://localhost:${port}`
  const connect = setting.version === 'HTTP/2' ? await overHttp2(url) : overHttp1(port, setting.tls)
  // Warm, and the first of all.
  await handshakes(server, connect, 500)
  const figures = [await handshakes(server, connect, 2000)]
  const connections = await Promise.all(Array.from({ length: CONNECTIONS }, connect))
  for (const workload of WORKLOADS) {
    await exchange(server, connections, workload, SECONDS / 3)
    figures.push(await exchange(server, connections, workload, SECONDS))
  }
  server.disconnect()
  return figures
}

function overHttp1 (port: number, tls: boolean): Connect {
  return async () => {
    const socket = tls ? connectTls({ port, host: '127.0.0.1', ca: certificate.cert, servername: 'localhost' }) : connectTcp(port, '127.0.0.1')
    socket.on('error', () => {})
    await once(socket, tls ? 'secureConnect' : 'connect')
    socket.write(upgradeRequest())
    await once(socket, 'data')
    return socket
  }
}

async function overHttp2 (url: string): Promise<Connect> {
  const options: SecureClientSessionOptions = { ca: certificate.cert, lookup: (_name, _options, callback) => callback(null, [{ address: '127.0.0.1', family: 4 }]) }
  const session: ClientHttp2Session = connectHttp2(url, options)
  session.on('error', () => {})
  await once(session, 'remoteSettings')
  return async () => {
    const stream = session.request({ ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/', 'sec-websocket-version': '13' })
    stream.on('error', () => {})
    await once(stream, 'response')
    return stream
  }
}

/** Microseconds of the server's CPU time since it was asked last. */
async function cpuTime (server: ChildProcess): Promise<number> {
  server.send('cpu')
  const [{ user, system }] = await once(server, 'message') as [NodeJS.CpuUsage]
  return user + system
}

async function handshakes (server: ChildProcess, connect: Connect, count: number): Promise<number> {
  const before = await cpuTime(server)
  for (let i = 0; i < count; i += CONNECTIONS) {
    for (const connection of await Promise.all(Array.from({ length: CONNECTIONS }, connect))) {
      connection.write(frame(0x8))
      connection.on('data', () => {})
      connection.on('end', () => connection.end())
      await once(connection, 'close')
    }
  }
  return (await cpuTime(server) - before) / count
}

async function exchange (server: ChildProcess, connections: Duplex[], { size, inFlight }: Workload, seconds: number): Promise<number> {
  const request = frame(0x2, Buffer.alloc(size, 'x'))
  const batch = Buffer.concat(Array.from({ length: inFlight }, () => request))
  const answerLength = (request.length - 4) * inFlight
  let messages = 0
  const before = await cpuTime(server)
  const end = performance.now() + seconds * 1000
  await Promise.all(connections.map(connection => new Promise<void>(resolve => {
    let left = answerLength
    const onData = (chunk: Buffer): void => {
      left -= chunk.length
      if (left > 0) return
      messages += inFlight
      if (performance.now() < end) {
        left = answerLength
        connection.write(batch)
      } else {
        connection.off('data', onData)
        resolve()
      }
    }
    connection.on('data', onData)
    connection.write(batch)
  })))
  return (await cpuTime(server) - before) / messages
}
