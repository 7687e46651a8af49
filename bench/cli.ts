import { parseArgs } from 'node:util'
import { OURS, SERVERS, type BenchServer } from './servers.js'
import { GROWTH } from './growth.js'
import { DEFAULT_NODES } from './nodes.js'
import { WORKLOADS, type Workload } from './workloads.js'

const ALL = [...WORKLOADS, ...GROWTH]

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
  /** Major versions, or `current`; without it, the default ones where npm has them. */
  nodes: string[] | undefined
}

const names = (all: readonly Workload[]): string => [...new Set(all.map(({ name }) => name))].join(', ')

export const HELP = `npm run bench -- [workload …] [options]

Workloads, by name or number (W1 to W10); without any, all of the first line:
  ${names(WORKLOADS.filter(({ isExtra }) => isExtra !== true))}
  ${names(WORKLOADS.filter(({ isExtra }) => isExtra === true))}
How costs grow, each along one axis, as a table and a plot of lines; 'growth' for all of them (half an hour for
each Node), and with a colon and a number one point of an axis, such as growth-idle:18000:
  ${names(GROWTH)}
Messages to subscribers on several processes through redis-server, against Socket.IO's adapters (--rounds, --seconds, --node,
--json and --markdown work as below; --servers 'ours|net and ioredis' picks some, --part 0.1 takes a tenth of the connections,
--steps 0 does not look for the highest rate, --modules DIR has another node_modules): topics [workload …]
Servers:
  ${Object.keys(SERVERS).join(', ')}

  --against SERVER,…     only these peers, beside ours ('documented' is ours with documented APIs alone); on the current Node, unless --node says more
  --node MAJOR,…         the Nodes to run the servers on, each of which npm installs when it is used first; or current.
                         Default ${DEFAULT_NODES.join(',')}, where npm has them for the platform; with --against or --check current
  --base SERVER,…        compare all with these too (default ws+bufferutil,ws)
  --variant NAME=VALUE   also ours with this in its environment, as a row of its own; may be repeated
  --server NAME=FILE     also a server of your own, in JavaScript: it prints its port, and ends when its input does
  --rounds N             default 5
  --seconds S            of each measurement, default 1
  --warmup S             before it, default 0.5
  --generator c|node     what makes the load; default c, where there is a compiler
  --check                compare every byte that comes back (by the generator in Node: not for figures)
  --json FILE, --markdown FILE, --svg FILE
                         write the results; with several Nodes, one file of JSON for each: FILE-24.json
  --render FILE,…        measure nothing: make Markdown and SVG of what --json has written`

function chooseWorkloads (wanted: readonly string[]): Workload[] {
  if (wanted.length === 0) return WORKLOADS.filter(({ isExtra }) => isExtra !== true)
  const chosen = wanted.map(one => {
    const found = ALL.filter(workload => isMeant(workload, one))
    if (found.length === 0) throw new Error(`there is no workload '${one}'; there are ${names(ALL)}`)
    return found
  })
  return ALL.filter(workload => chosen.some(found => found.includes(workload)))
}

/** By its name, its group, or the name of its axis and where it lies there. */
function isMeant ({ name, group, isExtra, point }: Workload, wanted: string): boolean {
  return wanted === name || (point !== undefined && wanted === `${name}:${point.x}`) || (wanted === group && (isExtra !== true || point !== undefined))
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
      node: { type: 'string' },
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
    nodes: values.node?.split(',') ?? (values.against !== undefined || values.check ? ['current'] : undefined),
    json: values.json,
    markdown: values.markdown,
    svg: values.svg,
    render: values.render?.split(',')
  }
}
