import type { Figure, Point } from './workloads.js'

/** The figures of one round, by their keys. */
export type Sample = Record<string, number>

export interface WorkloadResult {
  group: string
  name: string
  title: string
  figures: readonly Figure[]
  point?: Point
  /** For each server one sample a round, all servers of a round in turn. */
  samples: Record<string, Sample[]>
}

/** The document that `--json` writes. */
export interface Report {
  date: string
  node: string
  machine: string
  generator: string
  rounds: number
  seconds: number
  versions: Record<string, string>
  results: WorkloadResult[]
}

export interface Spread {
  median: number
  min: number
  max: number
}

function spread (values: number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
  return { median, min: sorted[0]!, max: sorted.at(-1)! }
}

/** @returns `null` if there is no such figure */
export function valueOf (result: WorkloadResult, server: string, key: string): Spread | null {
  const values = (result.samples[server] ?? []).flatMap(sample => sample[key] ?? [])
  return values.length === 0 ? null : spread(values)
}

/** How many times the figure of `base` that of `server` is. Of the same rounds: what the machine did meanwhile, it did to both. */
export function ratioOf (result: WorkloadResult, server: string, base: string, key: string): Spread | null {
  const bases = result.samples[base] ?? []
  const ratios = (result.samples[server] ?? []).flatMap((sample, round) => {
    const own = sample[key]
    const other = bases[round]?.[key]
    return own === undefined || other === undefined ? [] : [own / other]
  })
  return ratios.length === 0 ? null : spread(ratios)
}
