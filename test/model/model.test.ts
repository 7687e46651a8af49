import { fork } from 'node:child_process'
import { pathToFileURL } from 'node:url'
import t, { type Test } from 'tap'
import { compiledProgram } from '../support/programs.js'

// Some of what `npm run model` does, with seeds that never change; and whether it would find what it looks for.

const WORKER = compiledProgram(new URL('worker.ts', import.meta.url))
const WRONG = compiledProgram(new URL('wrong.ts', import.meta.url))

interface Outcome {
  code: number | null
  output: string
}

async function work (t: Test, args: readonly string[], env: Record<string, string> = {}): Promise<Outcome> {
  const { NODE_OPTIONS: _, ...inherited } = process.env
  const execArgv = ['--expose-gc', ...WORKER.loader, ...('WRONG' in env ? [`--import=${pathToFileURL(WRONG.file).href}`] : [])]
  const child = fork(WORKER.file, args, { env: { ...inherited, ...env }, execArgv, silent: true })
  t.teardown(() => child.kill('SIGKILL'))
  let output = ''
  for (const stream of [child.stdout!, child.stderr!]) stream.setEncoding('utf8').on('data', (text: string) => { output += text })
  const code = await new Promise<number | null>(resolve => child.on('close', resolve))
  return { code, output }
}

for (const without of ['nothing', 'lent-reads', 'all']) {
  t.test(`an app that does everything wrong, and what must be true all the same; without ${without}`, async t => {
    const { code, output } = await work(t, ['--seed', '1', '--plans', '7', '--seconds', '100'], { FASTIFY_WS_ROUTES_WITHOUT: without })
    t.equal(code, 0, output)
  })
}

const FAULTS: Record<string, RegExp> = {
  'loses a message': /instead of message|the last messages are missing/,
  'repeats a message': /instead of message/,
  'overwrites what it has given': /has changed/,
  'emits behind close': /drain behind close/,
  'forgets a callback': /the callback of send was called 0 times/,
  'sends another close code': /the client's close with 1002/,
  'keeps a timer': /left: \d+ × Timeout/
}

for (const [wrong, fault] of Object.entries(FAULTS)) {
  t.test(`a connection that ${wrong} is found`, async t => {
    const { code, output } = await work(t, ['--seed', '1', '--plans', '60', '--seconds', '100', '--transports', 'tcp', '--as-found'], { WRONG: wrong })
    t.equal(code, 1)
    t.match(output, fault)
    t.match(output, /seed \d+/)
  })
}
