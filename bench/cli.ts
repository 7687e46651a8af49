import { parseArgs } from 'node:util'
import { OURS, SERVERS, type BenchServer } from './servers.js'
import { WORKLOADS, type Workload } from './workloads.js'

export interface Settings {
  workloads: Workload[]
  servers: Record<string, BenchServer>
  bases: string[]
  rounds: number
  seconds: number
  warmup: number
  isChecking: boolean
  generator: 'c' | 'node'
  json?: string | undefined
  markdown?: string | undefined
  svg?: string | undefined
  render?: string[] | undefined
}

const names = (all: readonly Workload[]): string => all.map(({ name }) => name).join(', ')

export const HELP = `npm run bench -- [workload …] [options]

Workloads, by name or number (W1 to W10); without any, all of the first line:
  ${names(WORKLOADS.filter(({ isExtra }) => isExtra !== true))}
  ${names(WORKLOADS.filter(({ isExtra }) => isExtra === true))}
Servers:
  ${Object.keys(SERVERS).join(', ')}

  --against SERVER,…     only these peers, beside ours
  --base SERVER,…        compare all with these too (default ws+bufferutil,ws)
  --variant NAME=VALUE   also ours with this in its environment, as a row of its own; may be repeated
  --server NAME=FILE     also a server of your own, in JavaScript: it prints its port, and ends when its input does
  --rounds N             default 5
  --seconds S            of each measurement, default 1
  --warmup S             before it, default 0.5
  --generator c|node     what makes the load; default c, where there is a compiler
  --check                compare every byte that comes back (by the generator in Node: not for figures)
  --json FILE, --markdown FILE, --svg FILE
                         write the results
  --render FILE,…        measure nothing: make Markdown and SVG of what --json has written`

function chooseWorkloads (wanted: readonly string[]): Workload[] {
  for (const one of wanted) {
    if (!WORKLOADS.some(({ name, group }) => one === name || one === group)) throw new Error(`there is no workload '${one}'; there are ${names(WORKLOADS)}`)
  }
  if (wanted.length === 0) return WORKLOADS.filter(({ isExtra }) => isExtra !== true)
  return WORKLOADS.filter(({ name, group, isExtra }) => wanted.includes(name) || (wanted.includes(group) && isExtra !== true))
}

function choosePeers (wanted: string | undefined): string[] {
  const peers = Object.keys(SERVERS).filter(name => name !== OURS)
  if (wanted === undefined) return peers
  for (const one of wanted.split(',')) {
    if (!peers.includes(one)) throw new Error(`there is no server '${one}'; there are ${peers.join(', ')}`)
  }
  return wanted.split(',')
}

function positive (name: string, value: string): number {
  if (!(Number(value) > 0)) throw new Error(`--${name} ${value}: it must be a number above 0`)
  return Number(value)
}

function oneOf<T extends string> (name: string, value: string, known: readonly T[]): T {
  const found = known.find(one => one === value)
  if (found === undefined) throw new Error(`--${name} ${value}: it must be ${known.join(' or ')}`)
  return found
}

/** @returns `null` if only help is wanted */
export function readSettings (args: string[]): Settings | null {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      help: { type: 'boolean', default: false },
      against: { type: 'string' },
      base: { type: 'string', default: 'ws+bufferutil,ws' },
      variant: { type: 'string', multiple: true, default: [] },
      server: { type: 'string', multiple: true, default: [] },
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '1' },
      warmup: { type: 'string', default: '0.5' },
      generator: { type: 'string', default: 'c' },
      check: { type: 'boolean', default: false },
      json: { type: 'string' },
      markdown: { type: 'string' },
      svg: { type: 'string' },
      render: { type: 'string' }
    }
  })
  if (values.help) return null
  const servers: Settings['servers'] = { [OURS]: SERVERS[OURS]! }
  for (const variant of values.variant) {
    const [, name, value] = /^(\w+)=(.*)$/.exec(variant) ?? []
    if (name === undefined) throw new Error(`--variant ${variant}: it must be NAME=VALUE`)
    servers[`ours ${variant}`] = { ...SERVERS[OURS]!, env: { [name]: value! } }
  }
  for (const peer of choosePeers(values.against)) servers[peer] = SERVERS[peer]!
  for (const server of values.server) {
    const [, name, file] = /^([^=]+)=(.+)$/.exec(server) ?? []
    if (name === undefined) throw new Error(`--server ${server}: it must be NAME=FILE`)
    servers[name] = { file: file! }
  }
  return {
    workloads: chooseWorkloads(positionals),
    servers,
    bases: values.base.split(','),
    rounds: positive('rounds', values.rounds),
    seconds: positive('seconds', values.seconds),
    warmup: positive('warmup', values.warmup),
    isChecking: values.check,
    generator: oneOf('generator', values.generator, ['c', 'node']),
    json: values.json,
    markdown: values.markdown,
    svg: values.svg,
    render: values.render?.split(',')
  }
}
