import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Progress } from './worker.js'

// npm run model -- [--seconds 60] [--seed S] [--without lent-reads] [--transports tcp,tls] [--plans N]
// npm run model -- --plan FILE [--times 50] [--without lent-reads]
//
// A misbehaving app, and clients that behave, over all transports and with all settings of compression, as a seed has it;
// and what must be true of each message, close, error and callback. A plan that fails is made smaller and saved.

/** The fast paths switched off (`lib/protocol/fast-paths.ts`), and for which share of the time. Production uses all. */
const SWITCHES: readonly (readonly [without: string, share: number])[] = [['', 0.5], ['lent-reads', 0.1], ['zlib-contexts', 0.1], ['all', 0.3]]

/** Milliseconds without a new plan: a process that has hung or spins. */
const PATIENCE = 180_000

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Date.now() % 0x7fffffff) },
    without: { type: 'string' },
    transports: { type: 'string' },
    plans: { type: 'string' },
    plan: { type: 'string' },
    times: { type: 'string' }
  }
})

/** @returns how far it came, or `null` if something was found */
async function work (args: Record<string, string | undefined>, without: string): Promise<Progress | null> {
  // A test runner's loaders are not for the worker.
  const { NODE_OPTIONS: _, FASTIFY_WS_ROUTES_WITHOUT: __, ...env } = process.env
  if (without !== '') env.FASTIFY_WS_ROUTES_WITHOUT = without
  const given = Object.entries(args).flatMap(([name, value]) => value === undefined ? [] : [`--${name}`, value])
  const child = fork(fileURLToPath(new URL('worker.ts', import.meta.url)), given, { env, execArgv: ['--expose-gc', '--import=tsx'] })
  let progress: Progress | null = null
  let guard: NodeJS.Timeout | undefined
  const watch = (): void => {
    clearTimeout(guard)
    guard = setTimeout(() => child.kill('SIGKILL'), PATIENCE)
  }
  watch()
  child.on('message', (message: Progress) => {
    progress = message
    watch()
  })
  const ended = await new Promise<number | NodeJS.Signals | null>(resolve => child.on('exit', (code, signal) => resolve(code ?? signal)))
  clearTimeout(guard)
  if (ended === 0) return progress
  if (ended !== 1) console.error(`the process ended with ${ended} in ${JSON.stringify(progress)}`)
  console.error(`npm run model -- --seed ${(progress as Progress | null)?.seed ?? values.seed} --plans 1${without === '' ? '' : ` --without ${without}`}`)
  return null
}

async function search (): Promise<boolean> {
  const { seconds, transports, plans, without } = values
  const switches = without === undefined ? SWITCHES : [[without, 1] as const]
  let { seed } = values
  console.log(`seed ${seed}, for ${seconds} s, Node ${process.version}`)
  for (const [name, share] of switches) {
    const done = await work({ seconds: String(Number(seconds) * share), seed, transports, plans }, name)
    if (done === null) return false
    console.log(`without ${name === '' ? 'nothing' : name}: ${done.plans} apps, ${done.conversations} connections, ${done.messages} messages; nothing found`)
    seed = String(done.seed)
  }
  return true
}

const isFine = values.plan === undefined ? await search() : await work({ plan: values.plan, times: values.times }, values.without ?? '') !== null
if (!isFine) process.exitCode = 1
