// npm run bench:zlib
//
// What the ways to run zlib cost for one message, and what its settings do to time and size: the figures behind the
// choices that docs/compression.md explains.
import { constants, deflateRaw, deflateRawSync, inflateRaw, inflateRawSync, type ZlibOptions } from 'node:zlib'
import { ZlibContext } from '../lib/compression/zlib-context.js'
import { makeJsonMessages } from './json-messages.js'

const KIB = 1024
const FLUSH = { finishFlush: constants.Z_SYNC_FLUSH }
const OURS = { level: 3, windowBits: 12, memLevel: 5 }
const output = Buffer.alloc(1024 * KIB)

interface Figure {
  /** Microseconds of CPU time of the process, all threads. */
  cpu: number
  /** Microseconds. */
  wall: number
}

async function time (run: (index: number) => unknown, rounds: number): Promise<Figure> {
  for (let i = 0; i < rounds / 10; i++) await run(i)
  const cpu = process.cpuUsage()
  const start = performance.now()
  for (let i = 0; i < rounds; i++) {
    const result = run(i)
    if (result instanceof Promise) await result
  }
  const wall = (performance.now() - start) * 1000 / rounds
  const { user, system } = process.cpuUsage(cpu)
  return { wall, cpu: (user + system) / rounds }
}

function onPool (run: (message: Buffer, options: ZlibOptions, callback: (error: Error | null) => void) => void, message: Buffer, options: ZlibOptions): Promise<void> {
  return new Promise((resolve, reject) => run(message, options, error => error === null ? resolve() : reject(error)))
}

const format = ({ cpu, wall }: Figure): string => `${cpu.toFixed(1)} (${wall.toFixed(1)})`

console.log(`Node ${process.versions.node}; microseconds of CPU time (and of wall time) for one JSON message\n`)
console.log('| message | deflate: kept context | new context | new, with 4 KiB dictionary | thread pool | inflate: kept context | new context | thread pool |')
console.log('|---|---:|---:|---:|---:|---:|---:|---:|')
for (const bytes of [200, 2 * KIB, 16 * KIB, 64 * KIB, 256 * KIB]) {
  const messages = makeJsonMessages(bytes)
  const at = (index: number): Buffer => messages[index % messages.length]!
  const compressed = messages.map(message => deflateRawSync(message, { ...OURS, ...FLUSH }))
  const compressedAt = (index: number): Buffer => compressed[index % compressed.length]!
  const dictionary = Buffer.concat(messages).subarray(0, 4 * KIB)
  const rounds = Math.max(100, Math.min(5000, 20_000_000 / bytes / 10))
  const deflate = ZlibContext.deflate(OURS)
  const inflate = ZlibContext.inflate({ windowBits: 15 })
  const chunkSize = Math.max(256, Math.min(bytes, 64 * KIB))
  const figures = [
    await time(i => deflate.write(constants.Z_SYNC_FLUSH, at(i), output), rounds),
    await time(i => deflateRawSync(at(i), { ...OURS, ...FLUSH, chunkSize }), rounds),
    await time(i => deflateRawSync(at(i), { ...OURS, ...FLUSH, chunkSize, dictionary }), rounds),
    await time(i => onPool(deflateRaw, at(i), { ...OURS, ...FLUSH, chunkSize }), rounds),
    await time(i => { inflate.write(constants.Z_SYNC_FLUSH, compressedAt(i), output); inflate.reset() }, rounds),
    await time(i => inflateRawSync(compressedAt(i), { ...FLUSH, chunkSize }), rounds),
    await time(i => onPool(inflateRaw, compressedAt(i), { ...FLUSH, chunkSize }), rounds)
  ]
  console.log(`| ${bytes < KIB ? `${bytes} B` : `${bytes / KIB} KiB`} | ${figures.map(format).join(' | ')} |`)
}

console.log('\n| level | window bits | memory level | µs with takeover | bytes of 2 KiB | µs without | bytes | KiB of a context |')
console.log('|---:|---:|---:|---:|---:|---:|---:|---:|')
const messages = makeJsonMessages(2 * KIB)
for (const [level, windowBits, memLevel] of [[6, 15, 8], [6, 13, 6], [6, 12, 5], [6, 11, 4], [4, 12, 5], [3, 15, 8], [3, 12, 5], [3, 11, 4], [1, 12, 5]] as const) {
  const settings = { level, windowBits, memLevel }
  const cells: string[] = []
  for (const takeover of [true, false]) {
    const context = ZlibContext.deflate(settings)
    let bytes = 0
    const rounds = 5000
    const { cpu } = await time(i => {
      bytes += context.write(constants.Z_SYNC_FLUSH, messages[i % messages.length]!, output) - 4
      if (!takeover) context.reset()
    }, rounds)
    cells.push(cpu.toFixed(1), (bytes / (rounds * 1.1)).toFixed(0))
  }
  // zconf.h: (1 << (windowBits + 2)) + (1 << (memLevel + 9)).
  console.log(`| ${level} | ${windowBits} | ${memLevel} | ${cells.join(' | ')} | ${((1 << (windowBits + 2)) + (1 << (memLevel + 9))) / KIB} |`)
}
