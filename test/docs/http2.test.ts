import { readFile, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { certificate } from '../support/certificate.js'
import type { Example } from '../support/examples.js'
import { connectHttp2, openHttp2 } from '../support/http2-client.js'
import { frame } from '../support/raw-client.js'
import { Client, fileOf, project, replaceAll, runChecks, start } from './support.js'

/** Puts a certificate where a printed program reads one. */
async function useCertificate (example: Example): Promise<void> {
  const file = fileOf(example)
  const files = { 'key.pem': certificate.key, 'cert.pem': certificate.cert }
  for (const [name, text] of Object.entries(files)) await writeFile(join(project, name), text)
  const paths = Object.fromEntries(Object.keys(files).map(name => [`'${name}'`, `'${join(project, name)}'`]))
  await writeFile(file, replaceAll(await readFile(file, 'utf8'), paths))
}

runChecks({
  async http2 (t, example) {
    await useCertificate(example)
    const { app } = await start(t, example)
    const { port } = app.server.address() as AddressInfo
    const options = { ca: certificate.cert, servername: 'localhost' }
    const client = await Client.open(t, `wss://127.0.0.1:${port}/version`, [], options)
    t.equal(await client.text(), 'HTTP/1.1')
    const session = await connectHttp2(t, `https://127.0.0.1:${port}`, options)
    t.equal((await (await openHttp2(session, '/version')).frame()).payload.toString(), 'HTTP/2.0')
    session.destroy()
    client.socket.terminate()
  },

  async 'http2 windows' (t, example) {
    await useCertificate(example)
    const { app } = await start(t, example)
    const session = await connectHttp2(t, `https://127.0.0.1:${(app.server.address() as AddressInfo).port}`, { ca: certificate.cert, servername: 'localhost' })
    t.match(session.remoteSettings, { initialWindowSize: 1024 * 1024, maxConcurrentStreams: 200, enableConnectProtocol: true })
    const client = await openHttp2(session, '/upload')
    client.write(frame(0x2, Buffer.alloc(5_000_000)))
    t.equal((await client.frame()).payload.toString(), '5000000 bytes')
    session.destroy()
  }
})
