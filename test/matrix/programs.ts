import { PYTHON } from '../support/system-packages.js'

/** A client program in `test/interop/clients/`, and what it takes to run it. */
export interface Program {
  /** The library, as the table in docs/interoperability.md has it. */
  name: string
  language: string
  /** Debian's packages; the version in the table is that of the first. Empty: see `npm` and `command`. */
  packages: string[]
  /** The package of npm whose version is in the table. */
  npm?: string
  /** A program in PATH that tells its version with `--version`. */
  command?: string
  /** What the version of the package says about that of the library. */
  version? (packageVersion: string): string
  /** Makes the program in `folder`: each is a command with its arguments. */
  build? (folder: string): string[][]
  run (folder: string): string[]
  env?: Record<string, string>
}

const python = (name: string, packageName: string, file: string, ...more: string[]): Program => ({
  name, language: 'Python', packages: [packageName, ...more], run: () => [PYTHON, `python/${file}`]
})

const javascript = (npm: string, name = npm): Program => ({
  name, language: 'JavaScript', packages: [], npm, run: () => [process.execPath, `javascript/${npm}.mjs`]
})

/** Their own WebSocket. */
const runtime = (name: string, command: 'deno' | 'bun', language: string, ...args: string[]): Program => ({
  name, language, packages: [], command, run: () => [command, ...args, 'javascript/global.mjs']
})

const browser = (name: string, packageName: string, ...command: string[]): Program => ({
  name, language: 'JavaScript in a browser', packages: [packageName, ...(packageName.includes('webkit') ? ['cog'] : [])], run: () => [process.execPath, 'browser/run.mjs', ...command]
})

const GO_ENV = { GO111MODULE: 'off', GOPATH: '/usr/share/gocode', GOFLAGS: '' }

const go = (name: string, packageName: string, folder: string): Program => ({
  name,
  language: 'Go',
  packages: [packageName, 'golang-go'],
  build: out => [['/usr/bin/go', 'build', '-o', `${out}/${folder}`, `./go/${folder}`]],
  run: out => [`${out}/${folder}`],
  env: GO_ENV
})

const JARS = '/usr/share/java'

const java = (name: string, packages: string[], mainClass: string, ...jars: string[]): Program => {
  const classPath = (folder: string): string => [`${folder}/${mainClass}`, ...jars.map(jar => `${JARS}/${jar}.jar`)].join(':')
  return {
    name,
    language: 'Java',
    packages: [...new Set([...packages, 'default-jdk-headless'])],
    ...(packages[0] === 'default-jdk-headless' ? { version: text => text.replace(/^1\./, '') } : {}),
    build: out => [['javac', '-encoding', 'UTF-8', '-d', `${out}/${mainClass}`, '-cp', classPath(out), 'java/Cases.java', `java/${mainClass}.java`]],
    run: out => ['java', '-XX:TieredStopAtLevel=1', '-cp', classPath(out), mainClass]
  }
}

/** Compiles as fast as it can: what a client costs is not what is asked here. */
const cpp = (name: string, packages: string[], file: string, ...flags: string[]): Program => ({
  name,
  language: 'C++',
  packages: [...packages, 'g++', 'libc6-dev'],
  build: out => [['g++', '-std=c++17', '-O0', '-o', `${out}/${file}`, `cpp/${file}.cpp`, ...flags]],
  run: out => [`${out}/${file}`]
})

const c = (name: string, packageName: string, file: string, ...flags: string[]): Program => ({
  name,
  language: 'C',
  packages: [packageName, 'gcc', 'libc6-dev', 'pkg-config'],
  build: out => [['sh', '-c', `gcc -Wall -Wno-unused -o "${out}/${file}" c/${file}.c ${flags.join(' ')}`]],
  run: out => [`${out}/${file}`]
})

const QT = '/usr/include/x86_64-linux-gnu/qt6'

export const PROGRAMS: Program[] = [
  javascript('ws'),
  javascript('undici'),
  javascript('websocket'),
  javascript('faye-websocket'),
  runtime('Deno', 'deno', 'JavaScript on Rust', 'run', '--allow-all', '--quiet'),
  runtime('Bun', 'bun', 'JavaScript on Zig'),
  browser('Chromium', 'chromium', 'chromium', '--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--user-data-dir=PROFILE'),
  browser('WebKit (WPE)', 'libwpewebkit-1.1-0', 'cog', '--platform=headless'),
  browser('Firefox', 'firefox-esr', 'firefox-esr', '--headless', '--no-remote', '--profile', 'PROFILE'),
  python('websockets', 'python3-websockets', 'with_websockets.py'),
  python('aiohttp', 'python3-aiohttp', 'with_aiohttp.py'),
  python('websocket-client', 'python3-websocket', 'with_websocket_client.py'),
  python('autobahn', 'python3-autobahn', 'with_autobahn.py'),
  python('tornado', 'python3-tornado', 'with_tornado.py'),
  python('trio-websocket', 'python3-trio-websocket', 'with_trio.py'),
  go('gorilla/websocket', 'golang-github-gorilla-websocket-dev', 'gorilla'),
  go('nhooyr.io/websocket', 'golang-nhooyr-websocket-dev', 'nhooyr'),
  go('golang.org/x/net/websocket', 'golang-golang-x-net-dev', 'xnet'),
  java('java.net.http', ['default-jdk-headless'], 'JdkClient'),
  java('OkHttp', ['libokhttp-java', 'libokio-java'], 'OkHttpClientProgram', 'okhttp', 'okio'),
  java('Tomcat', ['libtomcat10-java'], 'TomcatClient', 'tomcat10-websocket', 'tomcat10-websocket-client-api', 'tomcat10-websocket-api',
    'tomcat10-api', 'tomcat10-coyote', 'tomcat10-juli', 'tomcat10-util', 'tomcat10-servlet-api', 'tomcat10-annotations-api'),
  java('Netty', ['libnetty-java', 'libjzlib-java'], 'NettyClient', 'jzlib', 'netty-buffer', 'netty-codec', 'netty-codec-http', 'netty-common', 'netty-handler',
    'netty-resolver', 'netty-transport'),
  cpp('Boost.Beast', ['libboost-dev'], 'beast', '-pthread'),
  cpp('websocketpp', ['libwebsocketpp-dev', 'libboost-dev', 'zlib1g-dev'], 'websocketpp', '-pthread', '-lz'),
  cpp('Qt WebSockets', ['qt6-websockets-dev'], 'qt', '-fPIC', `-I${QT}`, `-I${QT}/QtCore`, `-I${QT}/QtNetwork`, `-I${QT}/QtWebSockets`,
    '-lQt6WebSockets', '-lQt6Network', '-lQt6Core'),
  { name: 'Mojolicious', language: 'Perl', packages: ['libmojolicious-perl'], run: () => ['/usr/bin/perl', 'perl/mojo.pl'] },
  { name: 'AnyEvent::WebSocket::Client', language: 'Perl', packages: ['libanyevent-websocket-client-perl'], run: () => ['/usr/bin/perl', 'perl/anyevent.pl'] },
  { name: 'faye-websocket-ruby', language: 'Ruby', packages: ['ruby-faye-websocket'], run: () => ['/usr/bin/ruby', 'ruby/faye.rb'] },
  { name: 'websocket-ruby', language: 'Ruby', packages: ['ruby-websocket'], run: () => ['/usr/bin/ruby', 'ruby/websocket.rb'] },
  c('libwebsockets', 'libwebsockets-dev', 'libwebsockets', '-lwebsockets'),
  c('libsoup', 'libsoup-3.0-dev', 'libsoup', '$(pkg-config --cflags --libs libsoup-3.0)'),
  {
    name: 'ClientWebSocket of Mono',
    language: 'C#',
    packages: ['mono-mcs', 'mono-runtime'],
    build: out => [['mcs', `-out:${out}/Client.exe`, '-r:System.Core.dll', 'csharp/Client.cs']],
    run: out => ['mono', `${out}/Client.exe`]
  },
  { name: 'lua-http', language: 'Lua', packages: ['lua-http', 'lua5.2'], run: () => ['lua5.2', 'lua/client.lua'] },
  { name: 'tcllib websocket', language: 'Tcl', packages: ['tcllib', 'tcl'], run: () => ['tclsh', '-encoding', 'utf-8', 'tcl/client.tcl'] },
  {
    name: 'websockets (Haskell)',
    language: 'Haskell',
    packages: ['libghc-websockets-dev', 'ghc'],
    build: out => [['ghc', '-O0', '-outputdir', `${out}/haskell`, '-o', `${out}/haskell-client`, 'haskell/Client.hs']],
    run: out => [`${out}/haskell-client`]
  }
]

/** What `.ci/run` installs for all of them. */
export const CLIENT_PACKAGES = [...new Set(PROGRAMS.flatMap(({ packages }) => packages))]
