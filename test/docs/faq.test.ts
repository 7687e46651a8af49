import Fastify from 'fastify'
import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { WebSocket } from 'ws'
import websocket from '../../lib/index.js'
import { certificate } from '../support/certificate.js'
import { ROOT } from '../support/examples.js'
import { Client, project, replaceAll, runChecks, start } from './support.js'

t.test('each answer is short, and leads on', async t => {
  const [, ...answers] = (await readFile(join(ROOT, 'docs/faq.md'), 'utf8')).split(/^### /m)
  t.ok(answers.length >= 25, `${answers.length} questions`)
  for (const answer of answers) {
    const question = answer.split('\n')[0]!
    t.match(answer, /\]\(\S+\.md|<!-- test: /, question)
    t.ok(answer.replace(/^```[^]*?^```$/gm, '').split(/\s+/).length < 120, question)
  }
})

runChecks({
  async 'faq echo' (t, example) {
    const { url } = await start(t, example)
    const client = await Client.open(t, `${url}/echo`)
    client.socket.send('text')
    client.socket.send(Buffer.of(1))
    t.strictSame([(await client.message()).isBinary, (await client.message()).isBinary], [false, true])
  },

  async 'faq await' (t, example) {
    const { url } = await start(t, example)
    const client = new WebSocket(`${url}/slow`)
    t.teardown(() => client.terminate())
    // both are sent before the handler listens
    client.on('open', () => { client.send('one'); client.send('two') })
    const messages: string[] = []
    await new Promise<void>(resolve => client.on('message', data => { if (messages.push(String(data)) === 2) resolve() }))
    t.strictSame(messages, ['got one', 'got two'])
  },

  async 'faq certificate' (t, { text }) {
    const app = Fastify({ https: certificate })
    t.teardown(() => app.close())
    await app.register(websocket)
    app.get('/echo', { websocket: true }, () => {})
    await app.listen({ port: 0, host: 'localhost' })
    const { port } = app.server.address() as AddressInfo
    const [file, cert] = [join(project, 'certificate-client.ts'), join(project, 'cert.pem')]
    await writeFile(cert, certificate.cert)
    await writeFile(file, replaceAll(text, { 'localhost:3000': `localhost:${port}`, "'cert.pem'": JSON.stringify(cert) }))
    await t.resolves(promisify(execFile)('env', ['-u', 'NODE_OPTIONS', process.execPath, '--import=tsx', file]))
  }
})
