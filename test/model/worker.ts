import { readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { generate } from './generate.js'
import { TRANSPORTS, type Plan, type Transport } from './plan.js'
import type { RunLog } from './run-log.js'
import { shrink } from './shrink.js'
import { runPlan } from './world.js'

// Runs plans one after the other, in a process of its own: what keeps the event loop alive is all that is left of a run.
// Fast paths are switched off by the environment (`lib/protocol/fast-paths.ts`).

export interface Progress {
  seed: number
  plans: number
  conversations: number
  messages: number
}

/** Runs after which V8 and Node have all that they keep for ever, and between two looks at the memory. */
const WARM_UP = 400
const LOOK_EVERY = 50

/** Bytes: sessions of HTTP/2 stay for a while, until Node and V8 have let go of all their parts. */
const MEMORY_BOUND = 64 * 1024 * 1024

/** A fault that depends on timing may not occur in each run, so a plan gets several attempts. */
const ATTEMPTS = 4

/** Milliseconds until a run hangs, while one that fails is made smaller. */
const SHORT_GUARD = 2500

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '10' },
    seed: { type: 'string', default: '1' },
    plans: { type: 'string', default: 'Infinity' },
    transports: { type: 'string', default: TRANSPORTS.join(',') },
    plan: { type: 'string' },
    times: { type: 'string', default: '1' },
    'as-found': { type: 'boolean', default: false }
  }
})
const transports = values.transports.split(',') as Transport[]

/** The part of a fault's message that is the same in each run, without names and numbers. */
function kindOf (fault: string): string {
  return fault.replace(/^[\w ]+: /, '').replace(/".*|\d+/g, '').slice(0, 24)
}

/** Runs a plan until it fails in the same way, if it does. */
async function failAgain (plan: Plan, kind: string, attempts: number): Promise<RunLog | null> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const run = await runPlan(plan, SHORT_GUARD)
    if (run.faults.some(fault => kindOf(fault) === kind)) return run
  }
  return null
}

/** Says what was wrong with the smallest plan for which something is. */
async function report (failed: RunLog, words: string): Promise<void> {
  process.exitCode = 1
  const without = process.env.FASTIFY_WS_ROUTES_WITHOUT
  const switches = without === undefined ? '' : ` --without ${without}`
  console.error(`${words}\nNode ${process.version}${switches}\n${failed.faults.join('\n')}`)
  if (values['as-found']) return
  console.error('making it smaller …')
  const kind = kindOf(failed.faults[0]!)
  const smallest = await shrink(failed.plan, async plan => await failAgain(plan, kind, ATTEMPTS) !== null)
  const shown = await failAgain(smallest, kind, ATTEMPTS * 3) ?? failed
  const file = join(tmpdir(), `fastify-ws-routes-model-${Date.now()}.json`)
  await writeFile(file, JSON.stringify(shown.plan, null, 1))
  console.error(`${describe(shown.plan)}\n${shown.trace.join('\n')}\n\n${shown.faults.join('\n')}\n\nnpm run model -- --plan ${file} --times 50${switches}`)
}

function describe ({ conversations, elsewhere, ...plan }: Plan): string {
  const lines = [JSON.stringify(plan)]
  for (const act of elsewhere) lines.push(`elsewhere: ${JSON.stringify(act)}`)
  for (const { steps, app: { rules, phases, ...app }, ...conversation } of conversations) {
    lines.push(JSON.stringify(conversation), `  app: ${JSON.stringify(app)}`)
    for (const step of steps) lines.push(`  client: ${JSON.stringify(step)}`)
    for (const phase of phases) lines.push(`  listens: ${JSON.stringify(phase)}`)
    for (const rule of rules) lines.push(`  rule: ${JSON.stringify(rule)}`)
  }
  return lines.join('\n')
}

async function replay (file: string): Promise<void> {
  const plan = JSON.parse(await readFile(file, 'utf8')) as Plan
  for (let i = 0; i < Number(values.times); i++) {
    process.send?.({ seed: i, plans: i, conversations: 0, messages: 0 } satisfies Progress)
    const run = await runPlan(plan, SHORT_GUARD)
    if (run.faults.length === 0) continue
    process.exitCode = 1
    return console.error(`${describe(plan)}\n${run.trace.join('\n')}\n\n${run.faults.join('\n')}`)
  }
  console.log(`${values.times} times as it should be`)
}

function memory (): number {
  globalThis.gc!()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

async function search (): Promise<void> {
  const until = performance.now() + Number(values.seconds) * 1000
  const progress: Progress = { seed: Number(values.seed), plans: 0, conversations: 0, messages: 0 }
  let atStart = 0
  for (; performance.now() < until && progress.plans < Number(values.plans); progress.seed++) {
    process.send?.(progress)
    const run = await runPlan(generate(progress.seed, transports))
    if (run.faults.length > 0) return await report(run, `seed ${progress.seed}, after ${progress.plans} others:`)
    progress.plans++
    progress.conversations += run.conversations.length
    for (const { sent, got } of run.conversations) progress.messages += sent.length + got.length
    if (progress.plans % LOOK_EVERY !== 0) continue
    const now = memory()
    if (progress.plans === WARM_UP) atStart = now
    if (progress.plans > WARM_UP && now - atStart > MEMORY_BOUND) {
      process.exitCode = 1
      return console.error(`seed ${progress.seed}: ${now} bytes are in use, ${atStart} were after ${WARM_UP} runs`)
    }
  }
  process.send?.(progress)
}

if (values.plan === undefined) await search()
else await replay(values.plan)
// Not what was left, if that is what was found.
process.exit()
