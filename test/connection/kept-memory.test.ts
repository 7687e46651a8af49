import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'

interface Header { glibcVersionRuntime?: string }

const { glibcVersionRuntime } = (process.report.getReport() as unknown as { header: Header }).header
const isGlibc = glibcVersionRuntime !== undefined
const isTuned = ['MALLOC_TRIM_THRESHOLD_', 'MALLOC_MMAP_THRESHOLD_', 'MALLOC_TOP_PAD_', 'GLIBC_TUNABLES'].some(name => process.env[name] !== undefined)
const hasTransfer = 'transfer' in ArrayBuffer.prototype

const MODULE = fileURLToPath(new URL('../../lib/connection/kept-memory.ts', import.meta.url))

/** Page faults of a process of its own that writes 20 MiB in large buffers, and frees them, ten times. */
function countFaults (without: string): number {
  const program = `
    const { keepMemory } = await import(${JSON.stringify(MODULE)})
    keepMemory()
    const write = () => {
      const buffers = Array.from({ length: 20 }, () => Buffer.allocUnsafeSlow(1024 * 1024).fill(1))
      for (const { buffer } of buffers) buffer.transfer(0)
    }
    write()
    const before = process.resourceUsage().minorPageFault
    for (let i = 0; i < 10; i++) write()
    console.log(process.resourceUsage().minorPageFault - before)`
  const env = { ...process.env, FASTIFY_WS_ROUTES_WITHOUT: without }
  return Number(execFileSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], { encoding: 'utf8', env }))
}

t.test('the C library keeps the memory of large buffers', { skip: isGlibc && hasTransfer && !isTuned ? false : 'not glibc, or nothing to free memory with' }, async t => {
  const pages = 10 * 20 * 256
  t.ok(countFaults('') < pages / 4)
  t.ok(countFaults('kept-memory') > pages / 2, 'and does not by itself')
})
