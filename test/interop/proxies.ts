import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { ChildProcess } from 'node:child_process'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startProgram, type ProcessTest } from '../support/child-process.js'
import { findProgram } from '../support/system-packages.js'

export interface ProxyOptions {
  /** The port of the app behind it. */
  target: number
  /** Certificate and key in one file: the proxy ends TLS. */
  bundleFile?: string
  /** Seconds without a byte after which the proxy cuts a tunnel. */
  idle?: number
  /** Sends its own name as `Host`, and that of the client as `X-Forwarded-Host`. */
  replacesHost?: boolean
  /** Speaks HTTP/2 to the app, and offers it to its own clients, if it ends TLS. */
  http2?: boolean
}

export interface Proxy {
  port: number
  process: ChildProcess
}

export type StartProxy = (t: ProcessTest, options: ProxyOptions) => Promise<Proxy>

/**
 * A listening socket for a child process: no other program can take its port meanwhile, and the child's
 * clients can connect before it is ready.
 */
async function listen (): Promise<{ port: number, fd: number, release: () => void }> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { fd } = (server as unknown as { _handle: { fd: number } })._handle
  return { port: (server.address() as AddressInfo).port, fd, release: () => server.close() }
}

/**
 * A free port for a program that has to open it itself: not one of those that the system gives to who asks for
 * any, so that nobody gets it meanwhile.
 */
export async function findPort (): Promise<number> {
  for (;;) {
    const port = randomInt(15_000, 30_000)
    const server = createServer().listen(port, '127.0.0.1')
    const isFree = await once(server, 'listening').then(() => true, () => false)
    if (!isFree) continue
    server.close()
    await once(server, 'close')
    return port
  }
}

export async function createFolder (t: ProcessTest, files: Record<string, string>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'fastify-ws-routes-proxy-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  return folder
}

export const startNginx: StartProxy = async (t, { target, bundleFile, idle = 60, replacesHost = false }) => {
  const port = await findPort()
  const folder = await createFolder(t, {
    'nginx.conf': `
      daemon off;
      master_process off;
      pid nginx.pid;
      error_log stderr notice;
      events { worker_connections 256; }
      http {
        access_log off;
        client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;
        map $http_upgrade $connection_upgrade { default upgrade; '' close; }
        server {
          listen 127.0.0.1:${port}${bundleFile === undefined ? '' : ' ssl'};
          ${bundleFile === undefined ? '' : `ssl_certificate ${bundleFile}; ssl_certificate_key ${bundleFile};`}
          location / {
            proxy_pass http://127.0.0.1:${target};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header Host ${replacesHost ? '$proxy_host' : '$http_host'};
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_read_timeout ${idle}s;
            proxy_send_timeout ${idle}s;
          }
        }
      }`
  })
  await mkdir(join(folder, 'tmp'))
  const process = startProgram(t, findProgram('nginx')!, ['-p', folder, '-c', 'nginx.conf', '-e', 'stderr'])
  // It tells its version when it listens, or else why it does not.
  await once(process.stderr!, 'data')
  return { port, process }
}

export const startHaproxy: StartProxy = async (t, { target, bundleFile, idle = 60, replacesHost = false, http2 = false }) => {
  const { port, fd, release } = await listen()
  const folder = await createFolder(t, {
    'haproxy.cfg': `
      global
        maxconn 256
      defaults
        mode http
        timeout connect 10s
        timeout client 60s
        timeout server 60s
        timeout tunnel ${idle}s
        option forwardfor
      frontend front
        bind fd@3${bundleFile === undefined ? '' : ` ssl crt ${bundleFile}${http2 ? ' alpn h2,http/1.1' : ''}`}
        http-request set-header X-Forwarded-Host %[req.hdr(host)]
        http-request set-header X-Forwarded-Proto ${bundleFile === undefined ? 'http' : 'https'}
        ${replacesHost ? `http-request set-header Host 127.0.0.1:${target}` : ''}
        default_backend app
      backend app
        ${http2 ? 'http-reuse always' : ''}
        server app 127.0.0.1:${target}${http2 ? ' proto h2' : ''}
`
  })
  const process = startProgram(t, findProgram('haproxy')!, ['-db', '-f', join(folder, 'haproxy.cfg')], {
    env: { PATH: globalThis.process.env.PATH },
    inherit: [fd]
  })
  release()
  return { port, process }
}
