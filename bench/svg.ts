import { ratioOf, type Report, type WorkloadResult } from './results.js'
import { OURS } from './servers.js'

// A grid of panels, one for each workload; in it a bar for each peer and Node: to the right of the line, where we are,
// it needs more, to the left less. Each step of the scale is twice the one before.
const COLUMNS = 3
const PANEL = { width: 336, labels: 118, head: 26, row: 15, gap: 20 }
const STEP = 20
const LEFT = 3
const RIGHT = 6

const STYLE = `
  text { font: 11px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600; font-size: 12px }
  .muted { fill: #656d76 }
  .axis { stroke: #656d76 }
  .more0 { fill: #2f81c7 } .more1 { fill: #8fbfe6 }
  .less0 { fill: #c2571a } .less1 { fill: #e8ab85 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .muted { fill: #8d96a0 }
    .axis { stroke: #8d96a0 }
  }`

const escape = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')

interface Bar {
  server: string
  report: number
  ratio: number
}

function barsOf (result: WorkloadResult, reports: readonly Report[], key: string): Bar[] {
  const found = reports.map(report => report.results.find(({ name }) => name === result.name))
  const servers = new Set(found.flatMap(other => Object.keys(other?.samples ?? {})))
  return [...servers].filter(server => !server.startsWith(OURS)).flatMap(server => found.flatMap((other, report) => {
    const ratio = other === undefined ? null : ratioOf(other, server, OURS, key)
    return ratio === null ? [] : [{ server, report, ratio: ratio.median }]
  }))
}

function panel (title: string, bars: readonly Bar[], x: number, y: number): string {
  const zero = PANEL.labels + LEFT * STEP
  const lines = bars.map(({ server, report, ratio }, i) => {
    const length = Math.max(-LEFT, Math.min(RIGHT, Math.log2(ratio))) * STEP
    const top = PANEL.head + i * PANEL.row
    const label = bars[i - 1]?.server === server ? '' : `<text x="${PANEL.labels - 6}" y="${top + 9}" text-anchor="end">${escape(server)}</text>`
    return label +
      `<rect class="${length < 0 ? 'less' : 'more'}${report % 2}" x="${(zero + Math.min(0, length)).toFixed(1)}" y="${top}" width="${Math.abs(length).toFixed(1)}" height="${PANEL.row - 4}"/>` +
      `<text class="muted" x="${(zero + Math.max(0, length) + 4).toFixed(1)}" y="${top + 9}">${ratio.toFixed(ratio < 10 ? 2 : 1)}</text>`
  })
  return `<g transform="translate(${x} ${y})"><text class="title" y="12">${escape(title)}</text>` + lines.join('') +
    `<line class="axis" x1="${zero}" x2="${zero}" y1="${PANEL.head - 5}" y2="${PANEL.head + bars.length * PANEL.row}"/></g>`
}

/** Draws each competitor's cost as a multiple of ours, for one report or for several of different Node versions. */
export function toSvg (reports: readonly Report[]): string {
  const results = new Map(reports.flatMap(report => report.results.map(result => [result.name, result])))
  const panels = [...results.values()].flatMap(result => result.figures.filter(({ isCompared }) => isCompared === true).flatMap(figure => {
    const bars = barsOf(result, reports, figure.key)
    return bars.length === 0 ? [] : [{ title: `${result.name}: ${figure.title}`, bars }]
  }))
  const parts: string[] = []
  let y = 50
  for (let first = 0; first < panels.length; first += COLUMNS) {
    const line = panels.slice(first, first + COLUMNS)
    line.forEach(({ title, bars }, column) => parts.push(panel(title, bars, 10 + column * (PANEL.width + PANEL.gap), y)))
    y += PANEL.head + Math.max(...line.map(({ bars }) => bars.length)) * PANEL.row + PANEL.gap
  }
  const nodes = reports.map(({ node }, i) => `Node ${node}${reports.length > 1 ? ` (${i % 2 === 0 ? 'darker' : 'lighter'} bars)` : ''}`).join(', ')
  const width = 20 + COLUMNS * PANEL.width + (COLUMNS - 1) * PANEL.gap
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y}" width="${width}" height="${y}" role="img"><style>${STYLE}</style>` +
    '<text class="title" x="10" y="18">What each server needs, as a multiple of fastify-ws-routes (the line)</text>' +
    `<text class="muted" x="10" y="34">${escape(nodes)}; to the right it needs more than we do, to the left less; a logarithmic scale</text>` +
    `${parts.join('\n')}</svg>\n`
}
