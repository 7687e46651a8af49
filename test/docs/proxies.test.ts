import type { ChildProcess } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect, createServer, type AddressInfo, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Test } from 'tap'
import { certificate } from '../support/certificate.js'
import { startProgram } from '../support/child-process.js'
import { findProgram, needs } from '../support/system-packages.js'
import { byName, Client, refusal, replaceAll, runChecks, start } from './support.js'

/** An address of this machine where nobody listens: a loopback address that hardly anybody else has. */
async function freeAddress (): Promise<string> {
  const server = createServer().listen(0, `127.${randomInt(256)}.${randomInt(256)}.${randomInt(1, 255)}`)
  await once(server, 'listening')
  const { address, port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return `${address}:${port}`
}

/** Resolves when the program says on its standard error that it listens. */
async function said (child: ChildProcess, what: RegExp): Promise<void> {
  let text = ''
  await new Promise<void>((resolve, reject) => {
    child.stderr!.on('data', (piece: string) => {
      text += piece
      if (what.test(text)) resolve()
    })
    child.on('exit', () => reject(new Error(`it ended with\n${text}`)))
  })
}

/** Resolves when a program that does not say so listens there. */
async function untilListening (child: ChildProcess, address: string): Promise<void> {
  const { hostname, port } = new URL(`http://${address}`)
  while (child.exitCode === null) {
    const socket = connect(Number(port), hostname)
    const isListening = await once(socket, 'connect').then(() => true, () => false)
    socket.destroy()
    if (isListening) return
    await delay(20)
  }
}

/** Caddy and Apache are installed later than the tests of the docs run: `test/matrix` needs them. */
function ifThere (program: 'caddy' | 'apache2'): { skip?: string } {
  return findProgram(program) === null ? { skip: `${program} is not installed` } : {}
}

/** What a browser on a page of the site gets through a proxy, and one on another page. */
async function checkProxy (t: Test, address: string): Promise<void> {
  const options = { rejectUnauthorized: false, headers: { Host: 'example.com' } }
  const client = await Client.open(t, `wss://${address}/where`, [], { ...options, origin: 'https://example.com' })
  t.equal(await client.text(), '127.0.0.1 is at wss://example.com/where')
  t.match(await refusal(`wss://${address}/where`, { ...options, origin: 'https://evil.example' }), { status: 403 })
  const forged = { ...options.headers, 'X-Forwarded-For': '192.0.2.1', 'X-Forwarded-Host': 'evil.example', 'X-Forwarded-Proto': 'http' }
  t.match(await refusal(`wss://${address}/where`, { ...options, headers: forged, origin: 'https://evil.example' }), { status: 403 })
  const liar = await Client.open(t, `wss://${address}/where`, [], { ...options, headers: forged })
  t.equal(await liar.text(), '127.0.0.1 is at wss://example.com/where', 'the client cannot say otherwise')
}

async function startBehindProxy (t: Test): Promise<string> {
  const { url } = await start(t, byName.get('trust proxy')!)
  return new URL(url).host
}

async function temporaryFolder (t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'fastify-ws-routes-readme-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  await Promise.all([
    writeFile(join(folder, 'cert.pem'), certificate.cert),
    writeFile(join(folder, 'key.pem'), certificate.key),
    writeFile(join(folder, 'both.pem'), certificate.cert + certificate.key)
  ])
  return folder
}

runChecks({
  async nginx (t, { text }) {
    await t.test('passes WebSockets on', needs('nginx'), async t => {
      const upstream = await startBehindProxy(t)
      const folder = await temporaryFolder(t)
      const address = await freeAddress()
      const printed = replaceAll(text, {
        'listen 443': `listen ${address}`,
        '127.0.0.1:3000': upstream,
        '/etc/ssl/example.com.pem': join(folder, 'cert.pem'),
        '/etc/ssl/example.com.key': join(folder, 'key.pem')
      })
      const folders = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(name => `${name}_temp_path ${folder}/${name};`)
      await writeFile(join(folder, 'nginx.conf'), `
        daemon off; master_process off; pid ${folder}/pid; error_log stderr notice;
        events {}
        http { access_log off; ${folders.join(' ')}
        ${printed} }`)
      const nginx = startProgram(t, findProgram('nginx')!, ['-c', join(folder, 'nginx.conf'), '-p', folder, '-e', 'stderr'])
      await said(nginx, /event method/)
      await checkProxy(t, address)
    })
  },

  async haproxy (t, { text }) {
    await t.test('passes WebSockets on', needs('haproxy'), async t => {
      const upstream = await startBehindProxy(t)
      const folder = await temporaryFolder(t)
      // HAProxy gets a socket that listens already, and nobody need wait for it.
      const server = createServer().listen(0, '127.0.0.1')
      await once(server, 'listening')
      const { port } = server.address() as AddressInfo
      const { fd } = (server as Server & { _handle: { fd: number } })._handle
      await writeFile(join(folder, 'haproxy.cfg'), replaceAll(text, {
        ':443': 'fd@3',
        '127.0.0.1:3000': upstream,
        '/etc/ssl/example.com.pem': join(folder, 'both.pem')
      }))
      startProgram(t, findProgram('haproxy')!, ['-db', '-f', join(folder, 'haproxy.cfg')], { inherit: [fd] })
      server.close()
      await checkProxy(t, `127.0.0.1:${port}`)
    })
  },

  async caddy (t, { text }) {
    await t.test('passes WebSockets on', ifThere('caddy'), async t => {
      const upstream = await startBehindProxy(t)
      const folder = await temporaryFolder(t)
      const address = await freeAddress()
      const { hostname, port } = new URL(`http://${address}`)
      const printed = replaceAll(text, {
        'example.com {': `https://example.com:${port} {\n  bind ${hostname}\n  tls ${folder}/cert.pem ${folder}/key.pem`,
        '127.0.0.1:3000': upstream
      })
      // the client of this test asks for no name
      await writeFile(join(folder, 'Caddyfile'), `{\n  admin off\n  auto_https off\n  default_sni localhost\n}\n${printed}`)
      const caddy = startProgram(t, findProgram('caddy')!, ['run', '--adapter', 'caddyfile', '--config', join(folder, 'Caddyfile')])
      await untilListening(caddy, address)
      await checkProxy(t, address)
    })
  },

  async apache (t, { text }) {
    await t.test('passes WebSockets on', ifThere('apache2'), async t => {
      const upstream = await startBehindProxy(t)
      const folder = await temporaryFolder(t)
      const address = await freeAddress()
      const printed = replaceAll(text, {
        '*:443': address,
        '127.0.0.1:3000': upstream,
        '/etc/ssl/example.com.pem': join(folder, 'cert.pem'),
        '/etc/ssl/example.com.key': join(folder, 'key.pem')
      })
      const modules = ['mpm_event', 'authz_core', 'headers', 'proxy', 'proxy_http', 'ssl']
      await writeFile(join(folder, 'apache.conf'), `
        ${modules.map(name => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`).join('\n')}
        Listen ${address} https
        PidFile ${folder}/pid
        ErrorLog ${folder}/error.log
        User nobody
        Group nogroup
        StartServers 1
        ThreadsPerChild 64
        MaxRequestWorkers 128
        ${printed}`)
      const apache = startProgram(t, findProgram('apache2')!, ['-d', folder, '-f', 'apache.conf', '-X'])
      await untilListening(apache, address)
      await checkProxy(t, address)
    })
  },

  async 'trust proxy' (t, example) {
    const { url } = await start(t, example)
    const headers = { 'X-Forwarded-For': '192.0.2.1', 'X-Forwarded-Host': 'example.com', 'X-Forwarded-Proto': 'https' }
    const client = await Client.open(t, `${url}/where`, [], { headers, origin: 'https://example.com' })
    t.equal(await client.text(), '192.0.2.1 is at wss://example.com/where')
  }
})
