import { ESLint } from 'eslint'
import t from 'tap'
import { ROOT } from './support/examples.js'

// The rules of scripts/layer-rules.js, each with code that breaks it. That lib/ keeps them, `npm run lint` says.

const eslint = new ESLint({ cwd: ROOT })

/** What the rules say of a file with this text. */
async function complaints (file: string, text: string): Promise<string[]> {
  const [result] = await eslint.lintText(text, { filePath: file })
  return result!.messages.filter(({ ruleId }) => ruleId?.startsWith('layers/')).map(({ ruleId, message }) => `${ruleId!}: ${message}`)
}

const BAD: [name: string, file: string, text: string, message: RegExp][] = [
  ['an import from above', 'lib/protocol/x.ts', "import { a } from '../connection/a.js'", /^layers\/imports: protocol may not import from connection: imports point down only/],
  ['a type from above', 'lib/protocol/x.ts', "import type { A } from '../server/a.js'", /^layers\/imports: protocol may not import from server/],
  ['an export from above', 'lib/compression/x.ts', "export * from '../connection/a.js'", /^layers\/imports: compression may not/],
  ['a named export from above', 'lib/compression/x.ts', "export { a } from '../connection/a.js'", /^layers\/imports: compression may not/],
  ['a dynamic import from above', 'lib/compression/x.ts', "export const a = import('../connection/a.js')", /^layers\/imports: compression may not/],
  ['an inline type from above', 'lib/compression/x.ts', "export type A = import('../connection/a.js').A", /^layers\/imports: compression may not/],
  ['the package from inside', 'lib/server/x.ts', "import plugin from '../index.js'", /^layers\/imports: server may not import from index\.ts/],
  ['code from the types', 'types/x.ts', "import { a } from '../lib/errors.js'", /^layers\/imports: types may not import from errors\.ts/],
  ['a folder without a place', 'lib/new/x.ts', "import { a } from '../errors.js'", /^layers\/imports: 'new' is no layer/],
  ['from a folder without a place', 'lib/server/x.ts', "import { a } from '../new/a.js'", /^layers\/imports: 'new' is no layer/],
  ['a module of Node', 'lib/protocol/x.ts', "import { connect } from 'node:net'", /^layers\/imports: protocol may not use 'node:net'/],
  ['a type of a module of Node', 'lib/protocol/x.ts', "import type { Duplex } from 'node:stream'", /^layers\/imports: protocol may not use 'node:stream'/],
  ['a module of Node without node:', 'lib/protocol/x.ts', "import { connect } from 'net'", /^layers\/imports: protocol may not use the package 'net'/],
  ['Fastify', 'lib/connection/x.ts', "import type { FastifyRequest } from 'fastify'", /^layers\/imports: connection may not use the package 'fastify'/],
  ['a part of a package', 'lib/server/x.ts', "import a from '@scope/name/part'", /^layers\/imports: server may not use the package '@scope\/name'/],
  ['a timer', 'lib/protocol/x.ts', 'export const a = setTimeout(() => {}, 1)', /^layers\/globals: protocol may not use 'setTimeout'/],
  ['the process', 'lib/protocol/x.ts', 'export const a = process.versions.node', /^layers\/globals: protocol may not use 'process'/],
  ['the clock', 'lib/protocol/x.ts', 'export const a = performance.now()', /^layers\/globals: protocol may not use 'performance'/],
  ['the collector', 'lib/protocol/x.ts', 'export const a = new WeakRef({})', /^layers\/globals: protocol may not use 'WeakRef'/],
  ['the environment', 'lib/server/x.ts', 'export const a = process.env.HOME', /^layers\/globals: Only optimizations\.ts reads the environment/],
  ['the environment, taken apart', 'lib/server/x.ts', 'export const { env } = process', /^layers\/globals: Only optimizations\.ts/],
  ['the environment by a string', 'lib/server/x.ts', "export const a = process['env'].HOME", /^layers\/globals: Only optimizations\.ts/],
  // As if the file of this name had the text: what others import is read from disk.
  ['a circle', 'lib/errors.ts', "import { plugin } from './plugin.js'\nexport const a = plugin", /^layers\/circles: This import closes a circle: lib\/errors\.ts → lib\/plugin\.ts → .*lib\/errors\.ts\./],
  ['a circle of types', 'types/connection.ts', "import type { WebSocketPluginOptions } from './options.js'\nexport type A = WebSocketPluginOptions", /^layers\/circles: .*types\/connection\.ts → types\/options\.ts → types\/connection\.ts/]
]

for (const [name, file, text, message] of BAD) {
  t.test(`${name} in ${file}`, async t => {
    t.ok((await complaints(file, text + '\n')).some(complaint => message.test(complaint)), String(await complaints(file, text + '\n')))
  })
}

t.test('what is allowed', async t => {
  t.strictSame(await complaints('lib/connection/x.ts', `
    import { once } from 'node:events'
    import { createError } from '../errors.js'
    import { Opcode } from '../protocol/opcodes.js'
    import type { WebSocketConnection } from '../../types/connection.js'
    import { a } from './y.js'
    const process = { env: 1 }
    export const b = [once, createError, Opcode, a, process.env, setTimeout, {} as WebSocketConnection]
  `), [])
  t.strictSame(await complaints('lib/optimizations.ts', 'export const a = process.env.A'), [])
})
