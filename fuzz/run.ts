import { parseArgs } from 'node:util'
import { checkDecoder } from './decoder-target.js'
import { fuzzDecoder, fuzzServer, Inputs, TogetherError } from './fuzzer.js'
import { FuzzFailure, readCorpus, readInput, save, type Input } from './input.js'
import { ServerTarget } from './server-target.js'

// npm run fuzz -- [--seconds 60] [--seed 1] [--only decoder|server] [--http2]
// npm run fuzz -- [--http2] --replay FILE …

/** Inputs between two looks at the clock. */
const ROUND = 480

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Date.now() % 0x100000000) },
    only: { type: 'string' },
    replay: { type: 'string' },
    http2: { type: 'boolean', default: false }
  }
})

async function replay (paths: readonly string[]): Promise<void> {
  const target = await ServerTarget.start(undefined, values.http2)
  try {
    for (const path of paths) {
      const input = await readInput(path)
      if (input.mode !== 'http') await checkDecoder(input)
      if (input.mode !== 'client') await target.checkAll(input)
      await target.checkHonest()
      console.log(`${path}: as it should be`)
    }
  } finally {
    await target.stop()
  }
}

async function fuzz (): Promise<void> {
  const seed = Number(values.seed)
  const until = performance.now() + Number(values.seconds) * 1000
  console.log(`seed ${seed}, for ${values.seconds} s`)
  const corpus = [...(await readCorpus()).values()]
  // Each has its own, so that one of them alone does the same.
  const forDecoder = new Inputs(seed, corpus)
  const forServer = new Inputs(~seed, corpus)
  const target = values.only === 'decoder' ? null : await ServerTarget.start(undefined, values.http2)
  let decoded = 0
  let served = 0
  let usage = ''
  try {
    while (performance.now() < until) {
      if (values.only !== 'server') {
        // They take a fraction of the time.
        const runs = ROUND * 8
        await fuzzDecoder(forDecoder, runs)
        decoded += runs
      }
      if (target !== null) {
        await fuzzServer(target, forServer, ROUND)
        served += ROUND
        usage = await target.checkMemory()
      }
    }
    console.log(`decoder: ${decoded} inputs, server: ${served} connections${usage === '' ? '' : ` (at the end: ${usage})`}; nothing found`)
  } catch (error) {
    console.error(`decoder: about ${decoded} inputs, server: about ${served} connections; then:`)
    await report(error)
    process.exitCode = 1
  } finally {
    await target?.stop()
  }
}

async function report (error: unknown): Promise<void> {
  console.error(error instanceof Error ? error.stack : error)
  const inputs: readonly Input[] = error instanceof FuzzFailure ? [error.input] : error instanceof TogetherError ? error.inputs : []
  for (const input of inputs) console.error(`npm run fuzz -- ${values.http2 ? '--http2 ' : ''}--replay ${await save(input)}`)
}

if (values.replay === undefined) await fuzz()
else await replay([values.replay, ...positionals])
