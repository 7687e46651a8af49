import t from 'tap'
import { tsImport } from 'tsx/esm/api'
import { kernel } from '../../lib/protocol/frame-kernel.js'
import * as functions from '../../lib/protocol/mask.js'
import { maskCases } from './mask-cases.js'

t.test('with WebAssembly', async t => {
  t.ok(kernel)
  maskCases(t, functions)
})

t.test('without WebAssembly, as in `node --jitless`', async t => {
  // Copies of their own, since what there is is found out when the modules are loaded.
  // The first import loads the loader itself, which needs WebAssembly.
  await tsImport('../../lib/protocol/mask.ts', import.meta.url)
  const { WebAssembly } = globalThis as { WebAssembly?: unknown }
  Reflect.deleteProperty(globalThis, 'WebAssembly')
  t.teardown(() => Object.assign(globalThis, { WebAssembly }))
  const { kernel } = await tsImport('../../lib/protocol/frame-kernel.ts', import.meta.url) as typeof import('../../lib/protocol/frame-kernel.js')
  t.equal(kernel, null, 'and no error')
  maskCases(t, await tsImport('../../lib/protocol/mask.ts', import.meta.url) as typeof functions)
})
