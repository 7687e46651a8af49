// Tables and plots of how costs grow along an axis.
import { valueOf, type Report, type WorkloadResult } from './results.js'
import { table } from './table.js'
import type { Figure, Point } from './workloads.js'

interface AxisResult {
  point: Point
  figures: readonly Figure[]
  servers: readonly string[]
  results: ReadonlyArray<WorkloadResult & { point: Point }>
}

/** The axes of a report, in its order. */
export function axesOf ({ results }: Report): AxisResult[] {
  const axes = new Map<string, Array<WorkloadResult & { point: Point }>>()
  for (const result of results) {
    const { point } = result
    if (point === undefined) continue
    const points = axes.get(point.axis) ?? []
    axes.set(point.axis, [...points, { ...result, point }])
  }
  return [...axes.values()].map(points => {
    const servers = [...new Set(points.flatMap(({ samples }) => Object.keys(samples)))]
    return { point: points[0]!.point, figures: points[0]!.figures, servers, results: points }
  })
}

function labelOf ({ x, unit }: Point): string {
  if (unit === 'count') return x.toLocaleString('en')
  const power = Math.floor(Math.log2(x) / 10)
  return `${x / 1024 ** power} ${['B', 'KiB', 'MiB'][power]}`
}

/** For each figure and server the value at each point, with the range of the rounds, and how many times the first is the last. */
export function axisTable ({ point, figures, servers, results }: AxisResult): string {
  const cell = (result: WorkloadResult, server: string, { key, digits }: Figure): string => {
    const value = valueOf(result, server, key)
    if (value === null) return ''
    const { median, min, max } = value
    return min === max ? median.toFixed(digits) : `${median.toFixed(digits)} (${min.toFixed(digits)}–${max.toFixed(digits)})`
  }
  const tables = figures.map(figure => {
    const shown = servers.filter(server => results.some(result => valueOf(result, server, figure.key) !== null))
    return table([figure.title, ...shown], results.map(result => [labelOf(result.point), ...shown.map(server => cell(result, server, figure))]))
  })
  return [`### ${point.axis}: ${point.title}`, ...tables].join('\n\n')
}

// A grid of panels, a row for each axis and a panel for each figure; both scales are logarithmic, and what is flat is a
// level line.
const PANEL = { width: 330, height: 170, left: 52, top: 26, bottom: 26, right: 12, gap: 18 }

const STYLE = `
  text { font: 11px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600; font-size: 12px }
  .muted { fill: #656d76 }
  .axis { stroke: #656d76; fill: none }
  .grid { stroke: #d0d7de }
  path { fill: none; stroke-width: 1.8 }
  .s0 { stroke: #2f81c7 } .s1 { stroke: #c2571a } .s2 { stroke: #7a5cc2 } .s3 { stroke: #3f8f4f }
  .d0 { fill: #2f81c7 } .d1 { fill: #c2571a } .d2 { fill: #7a5cc2 } .d3 { fill: #3f8f4f }
  .later { stroke-dasharray: 5 3 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .muted { fill: #8d96a0 }
    .axis { stroke: #8d96a0 }
    .grid { stroke: #30363d }
  }`

const escape = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')

/** Returns the nearest powers of two around all that is plotted. */
function scale (values: readonly number[]): { low: number, high: number } {
  const logs = values.filter(value => value > 0).map(Math.log2)
  const low = Math.floor(Math.min(...logs))
  return { low, high: Math.max(low + 2, Math.ceil(Math.max(...logs))) }
}

function panel (axis: AxisResult, others: ReadonlyArray<AxisResult | undefined>, figure: Figure, servers: readonly string[], x: number, y: number): string {
  const width = PANEL.width - PANEL.left - PANEL.right
  const height = PANEL.height - PANEL.top - PANEL.bottom
  const lines = others.flatMap((other, report) => other === undefined
    ? []
    : servers.flatMap((server, index) => {
        const points = other.results.flatMap(result => {
          const value = valueOf(result, server, figure.key)
          return value === null || value.median <= 0 ? [] : [{ x: result.point.x, y: value.median }]
        })
        return points.length === 0 ? [] : [{ points, index, report }]
      }))
  if (lines.length === 0) return ''
  const xs = axis.results.map(({ point }) => Math.log2(point.x))
  const across = Math.max(...xs) - Math.min(...xs) || 1
  const { low, high } = scale(lines.flatMap(({ points }) => points.map(point => point.y)))
  const atX = (value: number): string => (PANEL.left + (Math.log2(value) - Math.min(...xs)) / across * width).toFixed(1)
  const atY = (value: number): string => (PANEL.top + (high - Math.log2(value)) / (high - low) * height).toFixed(1)
  const step = Math.ceil((high - low) / 5)
  const grid = Array.from({ length: Math.floor((high - low) / step) + 1 }, (_, i) => 2 ** (low + i * step)).map(value =>
    `<line class="grid" x1="${PANEL.left}" x2="${PANEL.left + width}" y1="${atY(value)}" y2="${atY(value)}"/>` +
    `<text class="muted" x="${PANEL.left - 5}" y="${Number(atY(value)) + 4}" text-anchor="end">${value < 1 ? Number(value.toPrecision(2)) : value}</text>`)
  const ticks = axis.results.map(({ point }) =>
    `<text class="muted" x="${atX(point.x)}" y="${PANEL.height - 10}" text-anchor="middle">${labelOf(point).replace(',000', 'k')}</text>`)
  const drawn = lines.map(({ points, index, report }) =>
    `<path class="s${index % 4}${report % 2 === 0 ? '' : ' later'}" d="M${points.map(point => `${atX(point.x)} ${atY(point.y)}`).join('L')}"/>` +
    points.map(point => `<circle class="d${index % 4}" cx="${atX(point.x)}" cy="${atY(point.y)}" r="2.2"/>`).join(''))
  return `<g transform="translate(${x} ${y})"><text class="title" y="12">${escape(`${axis.point.axis.replace('growth-', '')}: ${figure.title}`)}</text>` +
    grid.join('') + ticks.join('') + drawn.join('') + '</g>'
}

/** A line for each server and Node: what one unit costs. */
export function toGrowthSvg (reports: readonly Report[]): string {
  const perReport = reports.map(axesOf)
  const axes = [...new Map(perReport.flat().map(axis => [axis.point.axis, axis])).values()]
  const servers = [...new Set(axes.flatMap(axis => axis.servers))]
  const columns = Math.max(...axes.map(({ figures }) => figures.length))
  const top = 58
  const parts = axes.flatMap((axis, row) => {
    const others = perReport.map(found => found.find(({ point }) => point.axis === axis.point.axis))
    return axis.figures.map((figure, column) =>
      panel(axis, others, figure, servers, 10 + column * (PANEL.width + PANEL.gap), top + row * (PANEL.height + PANEL.gap)))
  })
  const legend = servers.map((server, index) =>
    `<line class="s${index % 4}" stroke-width="2" x1="${10 + index * 150}" x2="${30 + index * 150}" y1="42" y2="42"/><text x="${35 + index * 150}" y="46">${escape(server)}</text>`)
  const nodes = reports.map(({ node }, i) => `Node ${node}${reports.length > 1 ? ` (${i % 2 === 0 ? 'whole' : 'dashed'} lines)` : ''}`).join(', ')
  const width = Math.max(20 + columns * PANEL.width + (columns - 1) * PANEL.gap, 20 + servers.length * 150)
  const height = top + axes.length * (PANEL.height + PANEL.gap)
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img"><style>${STYLE}</style>` +
    `<text class="title" x="10" y="18">What one unit costs, as there are more of them: ${escape(nodes)}; both scales are logarithmic</text>` +
    `${legend.join('')}${parts.join('\n')}</svg>\n`
}
