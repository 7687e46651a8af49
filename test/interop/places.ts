import { mkdtemp, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { createCertificate } from '../support/generated-certificate.js'
import { needs } from '../support/system-packages.js'
import type { Client } from './clients/client.js'
import { startInteropServer } from './server.js'
import { interopSuite } from './suite.js'

export type PlaceName = 'TCP' | 'TLS' | 'a Unix socket'

/** The whole suite of a client with a new server, which listens there. */
export async function runAt (t: Test, place: PlaceName, client: Client): Promise<void> {
  if (place === 'TCP') {
    const server = await startInteropServer(t)
    const { port } = server.app.server.address() as AddressInfo
    await interopSuite(t, client, { url: `ws://127.0.0.1:${port}` }, server)
  } else if (place === 'TLS') {
    const ca = await createCertificate(t)
    const server = await startInteropServer(t, { host: '127.0.0.1', port: 0 }, { https: { cert: ca.cert, key: ca.key } })
    const { port } = server.app.server.address() as AddressInfo
    await interopSuite(t, client, { url: `wss://localhost:${port}`, options: { ca } }, server)
  } else {
    const folder = await mkdtemp(join(tmpdir(), 'fastify-ws-routes-unix-'))
    t.teardown(() => rm(folder, { recursive: true, force: true }))
    const socketPath = join(folder, 'app.sock')
    const server = await startInteropServer(t, { path: socketPath })
    await interopSuite(t, client, { url: 'ws://localhost', options: { socketPath } }, server)
  }
}

/** The whole suite over everything that a program can connect through. */
export function nodeClientTests (t: Test, client: Client): void {
  t.test(`${client.name} over TCP`, t => runAt(t, 'TCP', client))
  t.test(`${client.name} over TLS`, needs('openssl'), t => runAt(t, 'TLS', client))
  t.test(`${client.name} over a Unix socket`, t => runAt(t, 'a Unix socket', client))
}
