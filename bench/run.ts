// npm run bench, see `npm run bench -- --help`
//
// Measures what a server process needs for a message against its peers: the servers take turns, round by round, each
// in a fresh process; the figures are medians over the rounds, and what counts are the ratios of the same round.
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { build, versionOf, type Build } from './build.js'
import { HELP, readSettings, type Settings } from './cli.js'
import { axesOf, axisTable, toGrowthSvg } from './growth-report.js'
import { describe, toMarkdown, workloadTable } from './markdown.js'
import { isForNode, measure, type Generator } from './measure.js'
import { findNodes, type Node } from './nodes.js'
import type { Report, Sample, WorkloadResult } from './results.js'
import { DOCUMENTED, OURS, SERVERS, start, type BenchServer } from './servers.js'
import { toSvg } from './svg.js'
import { runTopics } from './topics.js'
import type { Workload } from './workloads.js'

/** A line that is rewritten on a terminal, and told once for each workload elsewhere. */
function makeProgress (): { show: (workload: string, detail: string) => void, clear: () => void } {
  if (process.stderr.isTTY) {
    return {
      show: (workload, detail) => process.stderr.write(`\r\x1b[K${workload}: ${detail}`),
      clear: () => process.stderr.write('\r\x1b[K')
    }
  }
  let last = ''
  return {
    show (workload) {
      if (workload !== last) process.stderr.write(`measuring ${workload}\n`)
      last = workload
    },
    clear () {}
  }
}

const progress = makeProgress()

/** Returns the servers that can be started here, and reports why the others are left out. */
async function tryServers (settings: Settings, build: Build, node: Node): Promise<Settings['servers']> {
  const used = Object.entries(settings.servers).filter(([name, server]) => settings.workloads.some(workload => takesPart(workload, name, server)))
  const reasons = await Promise.all(used.map(async ([, server]) => {
    try {
      const { child } = await start(server, settings.workloads[0]!.task, build, node.path)
      await child.stop()
      return null
    } catch (error) {
      return error as Error
    }
  }))
  return Object.fromEntries(used.filter(([name], i) => {
    const reason = reasons[i]!
    if (reason === null) return true
    if (name === OURS) throw reason
    console.log(`${name} is left out: ${reason.message}`)
    return false
  }))
}

/** Variants of ours go where ours goes, except along axes, and a server of one's own goes everywhere. */
function takesPart (workload: Workload, name: string, server: BenchServer): boolean {
  if (name === DOCUMENTED && workload.point !== undefined) return false
  return workload.servers.includes(name) || (workload.servers.includes(OURS) && server.file === SERVERS[OURS]!.file) || !server.file.endsWith('.ts')
}

async function runWorkload (
  workload: Workload, servers: Settings['servers'], settings: Settings, build: Build, generator: Generator, node: Node
): Promise<WorkloadResult> {
  const samples: Record<string, Sample[]> = {}
  const failed = new Set<string>()
  const { warmup, duration } = workload.times ?? { warmup: 1, duration: 1 }
  const timing = { warmup: settings.warmup * 1000 * warmup, duration: workload.window ?? settings.seconds * 1000 * duration }
  const rounds = Math.min(settings.rounds, workload.rounds ?? Infinity)
  for (let round = 0; round < rounds; round++) {
    for (const [name, server] of Object.entries(servers)) {
      if (!takesPart(workload, name, server) || failed.has(name)) continue
      progress.show(titleOf(workload), `round ${round + 1} of ${rounds}, ${name}`)
      try {
        (samples[name] ??= []).push(await measure(workload, server, timing, build, generator, node.path))
      } catch (error) {
        progress.clear()
        console.error(`${titleOf(workload)}, ${name}: ${(error as Error).message}`)
        process.exitCode = 1
        failed.add(name)
        delete samples[name]
      }
    }
  }
  progress.clear()
  const { group, name, title, figures, point } = workload
  return { group, name, title, figures, samples, ...(point === undefined ? {} : { point }) }
}

function titleOf ({ name, point }: Workload): string {
  return point === undefined ? name : `${name} ${point.x}`
}

async function run (settings: Settings): Promise<Report[]> {
  const nodes = findNodes(settings.nodes)
  const built = build()
  if ('missing' in built.load) console.log(`The load comes from Node, as there is no C program for it: ${built.load.missing}`)
  const generator = settings.isChecking ? 'checking node' : 'missing' in built.load ? 'node' : settings.generator
  const reports: Report[] = []
  for (const node of nodes) reports.push(await runOn(node, nodes.length === 1 ? settings.json : ofNode(settings.json, node), settings, built, generator))
  return reports
}

function ofNode (file: string | undefined, { version }: Node): string | undefined {
  return file?.replace(/(\.json)?$/, `-${version.split('.')[0]}$1`)
}

async function runOn (node: Node, json: string | undefined, settings: Settings, built: Build, generator: Generator): Promise<Report> {
  const servers = await tryServers(settings, built, node)
  const report: Report = {
    date: new Date().toISOString(),
    node: node.version,
    machine: `${cpus()[0]?.model.trim()}, ${cpus().length} cores, ${process.platform}`,
    generator: generator === 'c' ? 'C' : 'Node',
    rounds: settings.rounds,
    seconds: settings.seconds,
    versions: Object.fromEntries(Object.entries(servers).flatMap(([name, server]) => server.package === undefined ? [] : [[name, versionOf(server.package)!]])),
    results: []
  }
  console.log(describe(report))
  for (const [index, workload] of settings.workloads.entries()) {
    if (generator !== 'c' && !isForNode(workload)) {
      console.log(`\n${workload.name} is left out: only the generator in C can do it`)
      continue
    }
    const result = await runWorkload(workload, servers, settings, built, generator, node)
    report.results.push(result)
    const isAxisOver = result.name !== settings.workloads[index + 1]?.name
    if (result.point === undefined) console.log(`\n### ${result.name}: ${result.title}\n\n${workloadTable(result, settings.bases)}`)
    else if (isAxisOver) console.log(`\n${axisTable(axesOf(report).at(-1)!)}`)
    // After each workload: what was measured is kept if the run is broken off.
    if (json !== undefined) writeFileSync(json, JSON.stringify(report, null, 1))
  }
  return report
}

try {
  if (process.argv[2] === 'topics') {
    await runTopics(process.argv.slice(3))
    process.exit()
  }
  const settings = readSettings(process.argv.slice(2))
  if (settings === null) {
    console.log(HELP)
  } else {
    const reports = settings.render === undefined
      ? await run(settings)
      : settings.render.map(file => JSON.parse(readFileSync(file, 'utf8')) as Report)
    const markdown = toMarkdown(reports, settings.bases)
    if (settings.markdown !== undefined) writeFileSync(settings.markdown, markdown)
    else if (settings.render !== undefined) console.log(markdown)
    if (settings.svg !== undefined) writeFileSync(settings.svg, reports.some(report => axesOf(report).length > 0) ? toGrowthSvg(reports) : toSvg(reports))
  }
} catch (error) {
  progress.clear()
  console.error((error as Error).message)
  process.exitCode = 1
}
