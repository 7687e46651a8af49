// npm run bench [-- workload …] [--against server,…] [--rounds N] [--seconds S] [--check]
//
// Measures the CPU time per message of a server process against its peers: the servers take turns, round by
// round, each in a fresh process; the figures are medians over the rounds, and what is printed are ratios.
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import type { Load, LoadResult } from './load.js'
import { OURS, SERVERS, start } from './servers.js'
import { WORKLOADS, type Workload } from './workloads.js'

interface Sample {
  /** Microseconds of CPU time, user and system, of the server's process. */
  cpuPerMessage: number
  messagesPerSecond: number
  bytesPerMessage: number
  latency: LoadResult['latency']
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    against: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    check: { type: 'boolean', default: false },
    json: { type: 'string' }
  }
})

/** Nanoseconds on a CPU, over all threads of the process, as the kernel counts them. */
function cpuTime (pid: number): number {
  let total = 0
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    total += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ')[0])
  }
  return total
}

async function measure (workload: Workload, name: string): Promise<Sample> {
  const { file, env } = SERVERS[name]!
  const server = start(`servers/${file}`, { ...env, BENCH_DEFLATE: JSON.stringify(workload.perMessageDeflate ?? false) })
  const [{ port }] = await once(server, 'message') as [{ port: number }]
  const load = start('load.ts')
  const task: Load = {
    port,
    connections: workload.connections,
    depth: workload.depth,
    payload: workload.payload,
    ...(workload.extensions === undefined ? {} : { extensions: workload.extensions }),
    duration: Number(values.seconds) * 1000,
    isFloor: name === 'plain net',
    isChecking: values.check
  }
  load.send(task)
  let before = 0
  let after = 0
  const result = await new Promise<LoadResult>((resolve, reject) => {
    load.on('message', (message: 'counting' | 'counted' | LoadResult) => {
      if (message === 'counting') before = cpuTime(server.pid!)
      else if (message === 'counted') after = cpuTime(server.pid!)
      else resolve(message)
    })
    load.on('exit', code => reject(new Error(`the load generator ended with ${code}`)))
  })
  server.disconnect()
  await once(server, 'exit')
  return {
    cpuPerMessage: (after - before) / 1000 / result.messages,
    messagesPerSecond: result.messages / result.elapsed * 1000,
    bytesPerMessage: result.bytes / result.messages,
    latency: result.latency
  }
}

function median (numbers: number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]!
}

function summarize (samples: Sample[], ours: Sample[]): Record<string, string> {
  // Ratios of the same round: what the machine did meanwhile, it did to both.
  const ratios = samples.map((sample, round) => sample.cpuPerMessage / ours[round]!.cpuPerMessage)
  const latencies = samples.flatMap(({ latency }) => latency ?? [])
  return {
    'CPU µs/message': median(samples.map(sample => sample.cpuPerMessage)).toFixed(2),
    'messages/s': median(samples.map(sample => sample.messagesPerSecond)).toFixed(0),
    'bytes/message': median(samples.map(sample => sample.bytesPerMessage)).toFixed(0),
    'p50 ms': latencies.length === 0 ? '' : median(latencies.map(({ p50 }) => p50)).toFixed(2),
    'p99 ms': latencies.length === 0 ? '' : median(latencies.map(({ p99 }) => p99)).toFixed(2),
    'CPU × ours': median(ratios).toFixed(2),
    spread: `${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)}`
  }
}

function printTable (rows: Record<string, Record<string, string>>): void {
  const columns = Object.keys(Object.values(rows)[0]!)
  console.log(`| server | ${columns.join(' | ')} |`)
  console.log(`|---|${columns.map(() => '---:|').join('')}`)
  for (const [name, row] of Object.entries(rows)) console.log(`| ${name} | ${columns.map(column => row[column]).join(' | ')} |`)
}

function choose<T extends string> (wanted: T[], known: readonly T[], what: string): T[] {
  for (const one of wanted) {
    if (!known.includes(one)) throw new Error(`there is no ${what} '${one}'; there are ${known.join(', ')}`)
  }
  return wanted.length === 0 ? [...known] : wanted
}

const names = choose(positionals, WORKLOADS.map(({ name }) => name), 'workload')
const peers = choose(values.against?.split(',') ?? [], Object.keys(SERVERS).filter(name => name !== OURS), 'server')
const results: Record<string, Record<string, Sample[]>> = {}

console.log(`Node ${process.versions.node}, ${cpus()[0]?.model}, ${cpus().length} cores, ${new Date().toISOString().slice(0, 10)}`)
for (const workload of WORKLOADS.filter(({ name }) => names.includes(name))) {
  const servers = [OURS, ...peers].filter(name => workload.servers?.includes(name) ?? true)
  const samples: Record<string, Sample[]> = Object.fromEntries(servers.map(name => [name, []]))
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const name of servers) {
      process.stderr.write(`\r\x1b[K${workload.name}: round ${round + 1} of ${values.rounds}, ${name}`)
      samples[name]!.push(await measure(workload, name))
    }
  }
  process.stderr.write('\r\x1b[K')
  console.log(`\n### ${workload.title}\n`)
  printTable(Object.fromEntries(Object.entries(samples).map(([name, own]) => [name, summarize(own, samples[OURS]!)])))
  results[workload.name] = samples
}
if (values.json !== undefined) writeFileSync(values.json, JSON.stringify({ node: process.versions.node, results }, null, 2))
