import { axesOf, axisTable } from './growth-report.js'
import { ratioOf, valueOf, type Report, type Spread, type WorkloadResult } from './results.js'
import { OURS, SERVERS } from './servers.js'
import { table } from './table.js'
import type { Figure } from './workloads.js'

const times = (value: number): string => value.toFixed(value < 10 ? 2 : 1)
const withSpread = ({ median, min, max }: Spread): string => `${times(median)} (${times(min)}–${times(max)})`

/** A workload's figures, what each server needs of what we need, and how many times less it needs than the bases. */
export function workloadTable (result: WorkloadResult, bases: readonly string[]): string {
  const servers = Object.keys(result.samples)
  const hasOurs = servers.includes(OURS)
  const columns: Array<[title: string, cell: (server: string) => string]> = []
  for (const { key, title, digits, isCompared } of result.figures) {
    if (servers.every(server => valueOf(result, server, key) === null)) continue
    columns.push([title, server => valueOf(result, server, key)?.median.toFixed(digits) ?? ''])
    if (isCompared !== true) continue
    const compare = (title: string, ratio: (server: string) => Spread | null): void => {
      columns.push([title, server => { const found = ratio(server); return found === null ? '' : withSpread(found) }])
    }
    if (hasOurs) compare('× ours', server => ratioOf(result, server, OURS, key))
    for (const base of bases.filter(base => servers.includes(base))) compare(`${base} ÷ it`, server => ratioOf(result, base, server, key))
  }
  return table(['server', ...columns.map(([title]) => title)], servers.map(server => [server, ...columns.map(([, cell]) => cell(server))]))
}

/** All workloads at a glance: our figure, and each peer's as a multiple of it. */
function overview (results: readonly WorkloadResult[]): string {
  const known = [...new Set(results.flatMap(({ samples }) => Object.keys(samples)))].filter(server => server !== OURS)
  const order = [...Object.keys(SERVERS), ...known]
  const peers = known.sort((a, b) => order.indexOf(a) - order.indexOf(b))
  const rows = results.flatMap(result => result.figures.filter(({ isCompared }) => isCompared === true).map((figure: Figure) => [
    `${result.name}, ${figure.title}`,
    valueOf(result, OURS, figure.key)?.median.toFixed(figure.digits) ?? '',
    ...peers.map(peer => {
      const ratio = ratioOf(result, peer, OURS, figure.key)
      return ratio === null ? '' : times(ratio.median)
    })
  ]))
  return table(['workload', OURS, ...peers.map(peer => `${peer} × ours`)], rows)
}

export function describe ({ date, node, machine, generator, rounds, seconds, versions }: Report): string {
  const peers = Object.entries(versions).map(([server, version]) => `${server} ${version}`).join(', ')
  return `Node ${node}, ${machine}, ${date.slice(0, 10)}; medians of ${rounds} rounds of ${seconds} s; load from ${generator}.` + (peers === '' ? '' : ` ${peers}.`)
}

export function toMarkdown (reports: readonly Report[], bases: readonly string[]): string {
  return reports.map(report => {
    const results = report.results.filter(({ point }) => point === undefined)
    return [
      `## Node ${report.node}`,
      describe(report),
      ...(results.length === 0 ? [] : [overview(results)]),
      ...results.flatMap(result => [`### ${result.name}: ${result.title}`, workloadTable(result, bases)]),
      ...axesOf(report).map(axisTable)
    ].join('\n\n')
  }).join('\n\n') + '\n'
}
