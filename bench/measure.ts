import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Build } from './build.js'
import { Child } from './child.js'
import { askWindowBits, makeFrames, makeRequest, packFrames } from './frames.js'
import type { Sample } from './results.js'
import { pathOf } from './servers/paths.js'
import { start, type BenchServer } from './servers.js'
import { extensionsOf, type Workload } from './workloads.js'

export interface Timing {
  /** Milliseconds. */
  warmup: number
  duration: number
}

export type Generator = 'c' | 'node' | 'checking node'

/** The figures that a generator prints at the end. */
interface Counts {
  messages: number
  bytes: number
  /** Milliseconds. */
  elapsed: number
  latency?: { p50: number, p99: number }
  http?: { p50: number, p99: number }
}

/** One server under one workload, in processes of their own. */
export async function measure (workload: Workload, server: BenchServer, timing: Timing, build: Build, generator: Generator, node: string): Promise<Sample> {
  const { processes = 1 } = workload
  const barrier = new Barrier(processes)
  const samples = await Promise.all(Array.from({ length: processes }, async () => {
    try {
      return await measureOne(workload, server, timing, build, generator, node, barrier)
    } catch (error) {
      barrier.fail(error as Error)
      throw error
    }
  }))
  const all = samples as [Sample, ...Sample[]]
  // Figures are per unit: those of several processes are averaged.
  return Object.fromEntries(Object.keys(all[0]).map(key => [key, all.reduce((sum, sample) => sum + sample[key]!, 0) / processes]))
}

/** Lets several measurements wait for each other, and fails all of them with the first. */
class Barrier {
  private waiting: Array<{ resolve: () => void, reject: (error: Error) => void }> = []
  private error: Error | null = null

  constructor (private readonly count: number) {}

  async meet (): Promise<void> {
    if (this.error !== null) throw this.error
    await new Promise<void>((resolve, reject) => {
      if (this.waiting.push({ resolve, reject }) === this.count) for (const { resolve } of this.waiting.splice(0)) resolve()
    })
  }

  fail (error: Error): void {
    this.error ??= error
    for (const { reject } of this.waiting.splice(0)) reject(error)
  }
}

async function measureOne (
  workload: Workload, server: BenchServer, timing: Timing, build: Build, generator: Generator, node: string, barrier: Barrier
): Promise<Sample> {
  const { child, port } = await start(server, workload.task, build, node)
  try {
    // A server of the user's own, which only echoes, need not answer.
    const before = { rss: workload.mode === 'beat' || workload.point !== undefined ? await residentKiB(child) : 0, cpu: await cpuTime(child) }
    if (workload.mode === 'hold') return await weigh(workload, child, async connections => startLoad({ ...workload, connections }, port, timing, build, generator), barrier)
    const load = await startLoad(workload, port, timing, build, generator)
    try {
      if (workload.mode === 'beat') return await weighBeating(workload, child, load, before, barrier)
      const sample = await clock(child, load)
      if (workload.point === undefined) return sample
      const peak = (statusKiB(child, 'VmHWM') - before.rss) / 1024 / workload.connections
      return { ...sample, ready: before.rss / 1024, peak, perKiB: sample.cpu! / workload.payload.bytes * 1024 }
    } finally {
      await load.stop()
    }
  } finally {
    await child.stop()
  }
}

async function startLoad (workload: Workload, port: number, timing: Timing, build: Build, generator: Generator): Promise<Child> {
  const request = makeRequest(extensionsOf(workload.task), pathOf((workload.task.routes ?? 1) - 1))
  const windowBits = workload.task.deflate === 'off' ? null : await askWindowBits(port, request, workload.task.takeover)
  const files = { request: join(build.folder, 'request'), frames: join(build.folder, 'frames') }
  writeFileSync(files.request, request)
  writeFileSync(files.frames, packFrames(makeFrames(workload.payload, windowBits)))
  const { mode, connections, depth, senders = 0, rate = 0, probes = 0 } = workload
  const options = Object.entries({ mode, port, connections, depth, senders, rate, probes, ...timing, ...files }).map(([name, value]) => `${name}=${value}`)
  if (generator === 'c' && 'path' in build.load) return new Child(build.load.path, options)
  return new Child(process.execPath, [build.script('load.js'), ...options, ...(generator === 'checking node' ? ['check=1'] : [])])
}

/** Whether the generator in Node can do it too. */
export function isForNode ({ mode, probes }: Workload): boolean {
  return (mode === 'echo' || mode === 'broadcast') && probes === undefined
}

async function clock (server: Child, load: Child): Promise<Sample> {
  await expectLine(load, 'counting')
  const before = await cpuTime(server)
  await expectLine(load, 'counted')
  const used = await cpuTime(server) - before
  const { messages, bytes, elapsed, latency, http } = JSON.parse(await load.line()) as Counts
  if (messages === 0) throw new Error('Error: not one message came back')
  return {
    cpu: used / 1000 / messages,
    rate: messages / elapsed * 1000,
    bytes: bytes / messages,
    busy: used / 1e6 / elapsed * 100,
    ...(latency === undefined ? {} : latency),
    ...(http === undefined ? {} : { httpP50: http.p50, httpP99: http.p99 })
  }
}

/** The part of the connections that is opened, and weighed, before the others. */
const FIRST_SHARE = 1 / 5

/**
 * The memory of connections that are only there, and after a message each. What V8 and the allocator take once for the process,
 * and what the code does that runs for the first time, is not in that of the connections which are opened when there are some.
 */
async function weigh (
  { connections }: Workload, server: Child, open: (connections: number) => Promise<Child>, barrier: Barrier
): Promise<Sample> {
  const first = Math.round(connections * FIRST_SHARE)
  const empty = await residentKiB(server)
  const loads: Child[] = []
  const openMore = async (count: number): Promise<number> => {
    const load = await open(count)
    loads.push(load)
    await expectLine(load, 'connected')
    return cpuTime(server)
  }
  try {
    await openMore(first)
    const few = await residentKiB(server)
    const collected = await cpuTime(server)
    const cpu = (await openMore(connections - first) - collected) / 1000 / (connections - first)
    await barrier.meet()
    const all = await residentKiB(server)
    for (const load of loads) {
      load.say('talk')
      await expectLine(load, 'talked')
    }
    const used = await residentKiB(server)
    // Its connections count for the machine until all are weighed.
    await barrier.meet()
    return { open: cpu, fresh: (all - empty) / connections, further: (all - few) / (connections - first), used: (used - empty) / connections }
  } finally {
    for (const load of loads) await load.stop()
  }
}

/** The cost of each heartbeat. */
async function weighBeating ({ connections }: Workload, server: Child, load: Child, before: { rss: number, cpu: number }, barrier: Barrier): Promise<Sample> {
  await expectLine(load, 'connected')
  const open = (await cpuTime(server) - before.cpu) / 1000 / connections
  await barrier.meet()
  const fresh = (await residentKiB(server) - before.rss) / connections
  await barrier.meet()
  load.say('beat')
  const { cpu } = await clock(server, load)
  return { open, fresh, cpu: cpu! }
}

async function expectLine (child: Child, wanted: string): Promise<void> {
  const line = await child.line()
  if (line !== wanted) throw new Error(`expected '${wanted}', not '${line}'`)
}

/** Nanoseconds on a CPU, over all threads of the process: as the kernel counts them, or else as the process knows them. */
export async function cpuTime (server: Child): Promise<number> {
  if (process.platform !== 'linux') {
    server.say('cpu')
    return Number(await server.line())
  }
  let total = 0
  for (const thread of readdirSync(`/proc/${server.pid}/task`)) {
    total += Number(readFileSync(`/proc/${server.pid}/task/${thread}/schedstat`, 'latin1').split(' ')[0])
  }
  return total
}

/** After a collection of garbage, which would come sooner or later. */
async function residentKiB (server: Child): Promise<number> {
  server.say('collect')
  await expectLine(server, 'collected')
  return statusKiB(server, 'VmRSS')
}

function statusKiB (server: Child, field: 'VmRSS' | 'VmHWM'): number {
  return Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync(`/proc/${server.pid}/status`, 'latin1'))![1])
}
