import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Test } from 'tap'
import { startProgram } from '../support/child-process.js'
import { findProgram, needs } from '../support/system-packages.js'
import { createFolder, findPort, type StartProxy } from '../interop/proxies.js'
import { proxySuite, type ProxyTraits } from '../interop/proxy-suite.js'

/** These do not say when they listen. */
async function untilListening (port: number, process: ChildProcess): Promise<void> {
  // Why it has ended the test is told by `startProgram`.
  while (process.exitCode === null) {
    const socket = connect({ port, host: '127.0.0.1' })
    const isListening = await once(socket, 'connect').then(() => true, () => false)
    socket.destroy()
    if (isListening) return
    await delay(20)
  }
}

const apache = (scheme: 'http' | 'ws'): StartProxy => async (t, { target, bundleFile, replacesHost = false }) => {
  const port = await findPort()
  const modules = ['mpm_event', 'authz_core', 'headers', 'proxy', scheme === 'http' ? 'proxy_http' : 'proxy_wstunnel', ...(bundleFile === undefined ? [] : ['ssl'])]
  const folder = await createFolder(t, {
    'apache.conf': `
      ${modules.map(name => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`).join('\n')}
      ServerName localhost
      Listen 127.0.0.1:${port}
      PidFile apache.pid
      ErrorLog error.log
      User nobody
      Group nogroup
      StartServers 1
      ThreadsPerChild 64
      MaxRequestWorkers 128
      ${bundleFile === undefined ? '' : `SSLEngine on\nSSLCertificateFile ${bundleFile}\nSSLCertificateKeyFile ${bundleFile}`}
      RequestHeader unset X-Forwarded-For early
      RequestHeader unset X-Forwarded-Host early
      RequestHeader set X-Forwarded-Proto ${bundleFile === undefined ? 'http' : 'https'} early
      ProxyPreserveHost ${replacesHost ? 'Off' : 'On'}
      ProxyPass / ${scheme}://127.0.0.1:${target}/ ${scheme === 'http' ? 'upgrade=websocket' : ''}
`
  })
  const process = startProgram(t, findProgram('apache2')!, ['-d', folder, '-f', 'apache.conf', '-X'])
  await untilListening(port, process)
  return { port, process }
}

/** mod_proxy_http, as Apache recommends it since 2.4.47. */
export const startApache = apache('http')

/** mod_proxy_wstunnel, as most have it still. */
export const startApacheTunnel = apache('ws')

export const startCaddy: StartProxy = async (t, { target, bundleFile, replacesHost = false }) => {
  const port = await findPort()
  const folder = await createFolder(t, {
    Caddyfile: `
      {
        admin off
        auto_https off
      }
      ${bundleFile === undefined ? 'http' : 'https'}://:${port} {
        bind 127.0.0.1
        ${bundleFile === undefined ? '' : `tls ${bundleFile} ${bundleFile}`}
        reverse_proxy 127.0.0.1:${target} {
          ${replacesHost ? 'header_up Host {upstream_hostport}' : ''}
        }
      }
`
  })
  const process = startProgram(t, findProgram('caddy')!, ['run', '--config', join(folder, 'Caddyfile'), '--adapter', 'caddyfile'], {
    env: { ...globalThis.process.env, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder }
  })
  await untilListening(port, process)
  return { port, process }
}

export const startVarnish: StartProxy = async (t, { target, idle = 60, replacesHost = false }) => {
  const port = await findPort()
  const folder = await createFolder(t, {
    'default.vcl': `
      vcl 4.1;
      backend default { .host = "127.0.0.1"; .port = "${target}"; }
      sub vcl_recv {
        set req.http.X-Forwarded-For = client.ip;
        set req.http.X-Forwarded-Host = req.http.Host;
        set req.http.X-Forwarded-Proto = "http";
        if (req.http.Upgrade ~ "(?i)websocket") { return (pipe); }
        return (pass);
      }
      sub vcl_pipe {
        set bereq.http.Upgrade = req.http.Upgrade;
        set bereq.http.Connection = req.http.Connection;
        ${replacesHost ? `set bereq.http.Host = "127.0.0.1:${target}";` : ''}
      }
`
  })
  const process = startProgram(t, findProgram('varnishd')!, [
    '-F', '-j', 'none', '-n', join(folder, 'work'), '-a', `127.0.0.1:${port}`, '-f', join(folder, 'default.vcl'), '-s', 'malloc,16m',
    '-p', `pipe_timeout=${idle}`, '-p', 'thread_pools=1', '-p', 'thread_pool_min=20', '-T', 'none'
  ])
  await untilListening(port, process)
  return { port, process }
}

export const startLighttpd: StartProxy = async (t, { target, bundleFile, idle = 60, replacesHost = false }) => {
  const port = await findPort()
  const folder = await createFolder(t, {
    'lighttpd.conf': `
      server.modules = ("mod_proxy", "mod_setenv"${bundleFile === undefined ? '' : ', "mod_openssl"'})
      server.document-root = "/var/empty"
      server.bind = "127.0.0.1"
      server.port = ${port}
      server.feature-flags += ("server.h2proto" => "disable")
      server.max-read-idle = ${idle}
      server.max-write-idle = ${idle}
      ${bundleFile === undefined ? '' : `ssl.engine = "enable"\nssl.pemfile = "${bundleFile}"`}
      setenv.set-request-header = ("X-Forwarded-Proto" => "${bundleFile === undefined ? 'http' : 'https'}")
      proxy.server = ("" => (("host" => "127.0.0.1", "port" => ${target})))
      proxy.header = ("upgrade" => "enable"${replacesHost ? `, "map-host-request" => ("-" => "127.0.0.1:${target}")` : ''})
`
  })
  const process = startProgram(t, findProgram('lighttpd')!, ['-D', '-f', join(folder, 'lighttpd.conf')])
  await untilListening(port, process)
  return { port, process }
}

/** Its clients speak HTTP/1.1 to it, and it speaks HTTP/2 to the app: an upgrade becomes an extended CONNECT (RFC 8441). */
export const startNghttpx: StartProxy = async (t, { target, bundleFile, idle = 60, replacesHost = false }) => {
  const port = await findPort()
  const folder = await createFolder(t, { 'nghttpx.conf': '' })
  const process = startProgram(t, findProgram('nghttpx')!, [
    `--conf=${join(folder, 'nghttpx.conf')}`, `--frontend=127.0.0.1,${port}${bundleFile === undefined ? ';no-tls' : ''}`,
    `--backend=127.0.0.1,${target};;proto=h2`, '--single-process', '--workers=1', '--no-ocsp', '--add-x-forwarded-for', '--strip-incoming-x-forwarded-for',
    `--stream-read-timeout=${idle}`, `--stream-write-timeout=${idle}`, `--frontend-read-timeout=${idle}`, `--backend-read-timeout=${idle}`,
    ...(replacesHost ? ['--host-rewrite'] : []),
    ...(bundleFile === undefined ? [] : [bundleFile, bundleFile])
  ], { cwd: folder })
  await untilListening(port, process)
  return { port, process }
}

export interface ProxyUnderTest {
  program: Parameters<typeof findProgram>[0]
  start: StartProxy
  traits: ProxyTraits
}

/** By their names in docs/interoperability.md. nginx and HAProxy are in test/interop. */
export const PROXIES = {
  'Apache, mod_proxy_http': {
    program: 'apache2',
    start: startApache,
    traits: { halfCloses: false, wholeSuiteInBrowser: true, keepsIdle: 'Apache has no time limit for tunnels' }
  },
  'Apache, mod_proxy_wstunnel': {
    program: 'apache2',
    start: startApacheTunnel,
    traits: { halfCloses: false, wholeSuiteInBrowser: false, keepsIdle: 'Apache has no time limit for tunnels' }
  },
  Caddy: {
    program: 'caddy',
    start: startCaddy,
    traits: { halfCloses: false, wholeSuiteInBrowser: true, keepsIdle: 'this version of Caddy has no time limit for tunnels' }
  },
  Varnish: {
    program: 'varnishd',
    start: startVarnish,
    traits: { halfCloses: false, wholeSuiteInBrowser: true, withoutTls: 'Varnish speaks no TLS' }
  },
  lighttpd: { program: 'lighttpd', start: startLighttpd, traits: { halfCloses: false, wholeSuiteInBrowser: true } },
  'nghttpx, HTTP/2 to the app': {
    program: 'nghttpx',
    start: startNghttpx,
    traits: { halfCloses: false, wholeSuiteInBrowser: true, http2: true, withoutForwardedHost: 'nghttpx sets no X-Forwarded-Host' }
  }
} satisfies Record<string, ProxyUnderTest>

/** Everything that clients do, through that proxy. */
export function testProxy (t: Test, name: keyof typeof PROXIES): void {
  const { program, start, traits } = PROXIES[name]
  t.test(`behind ${name}`, needs(program), async t => { await proxySuite(t, start, traits) })
}
