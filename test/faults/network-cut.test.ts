import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { startProgram } from '../support/child-process.js'
import { IS_THOROUGH } from '../support/thorough.js'
import { startAsking, startFaultServer } from './support.js'

const isRoot = process.getuid?.() === 0

/** Makes namespaces of our own; others than root need one for users too, which not every system lets them have. */
const UNSHARE = ['unshare', ...(isRoot ? [] : ['--user', '--map-root-user']), '--net']

const SERVER = '10.9.1.2'

/** Why there can be no network of our own, if so. */
function whyNot (): string | null {
  if (!IS_THOROUGH) return 'it takes a while: only with THOROUGH set'
  if (process.platform !== 'linux') return 'there are network namespaces on Linux alone'
  const [command, ...args] = UNSHARE
  const { status, stderr } = spawnSync(command!, [...args, 'sh', '-c', 'ip link add veth0 type veth peer name veth1 && command -v nsenter setpriv'], { encoding: 'utf8' })
  return status === 0 ? null : `there can be no network of our own: ${stderr ?? 'no unshare'}`
}

interface Network {
  /** What a program has to be started by to be there. */
  onServer: string[]
  onClient: string[]
  cut (): Promise<void>
  mend (): Promise<void>
}

async function startNetwork (t: Test): Promise<Network> {
  const [command, ...args] = UNSHARE
  const script = startProgram(t, command!, [...args, 'sh', fileURLToPath(new URL('network.sh', import.meta.url))])
  const lines = createInterface(script.stdout!)
  const [line] = await once(lines, 'line') as [string]
  const [server, client] = JSON.parse(line) as [number, number]
  const enter = (pid: number): string[] => ['nsenter', '--target', `${pid}`, ...(isRoot ? [] : ['--user', '--preserve-credentials']), '--net']
  const tell = async (command: string): Promise<void> => {
    const answer = once(lines, 'line')
    script.stdin!.write(`${command}\n`)
    await answer
  }
  return { onServer: enter(server), onClient: enter(client), cut: () => tell('cut'), mend: () => tell('mend') }
}

const reason = whyNot()

t.test('A1: the network is cut, with no FIN and no RST: the heartbeat notices, and nothing else does', reason === null ? {} : { skip: reason }, async t => {
  const network = await startNetwork(t)
  const start = (heartbeat: false | { interval: number, timeout: number }): ReturnType<typeof startFaultServer> =>
    startFaultServer(t, { host: SERVER, websocket: { heartbeat } }, network.onServer)
  const [watched, unwatched] = await Promise.all([start({ interval: 300, timeout: 300 }), start(false)])
  const connect = (port: number): ReturnType<typeof startAsking> => startAsking(t, 'client.ts', { host: SERVER, port, count: 20 }, network.onClient)
  const clients = [connect(watched.port), connect(unwatched.port)] as const
  for (const { ask } of clients) t.equal(await ask('echo'), 20)

  await network.cut()
  await watched.clients(0)
  t.strictSame(await watched.ask('codes'), Array(20).fill(1006))
  t.strictSame(await clients[0].ask('codes'), [], 'the clients know nothing of it')
  await unwatched.clients(20)
  t.strictSame(await unwatched.ask('codes'), [], 'nor does a server that does not ask')

  await network.mend()
  const next = connect(watched.port)
  t.equal(await next.ask('echo'), 20, 'who comes back is served')
  // Those of the other server were only slow.
  t.equal(await clients[1].ask('echo'), 20)
})
