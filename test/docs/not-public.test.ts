import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { ROOT } from '../support/examples.js'

// The list in docs/architecture.md of what is not public in Node and Fastify is whole, and has nothing that is gone.

const HEADING = '## Not public in Node and Fastify\n'

/** How such members are used, and methods replaced. */
const USES: readonly RegExp[] = [
  /\b(_handle|_httpMessage|_writeState|_readableState|_writableState|_events|_server|_parent|_header|_headerSent)\b/,
  /\bk[A-Z]\w*\b.*=.*find\w*\(/,
  /\bnew Socket\(\)\.listeners\(/,
  /\bgetOwnPropertySymbols\(|\bownKeys\(/,
  /\breadInternal\(/,
  /\bsession\.timeout\b/,
  /(?<!this)\.(on|off|emit|push|read|write|end|destroy|pause|resume|setTimeout|close) = /,
  /\bdefinePropert(y|ies)\((this|request|response|socket|stream|server|session)\b/,
  /\bReflect\.(set|deleteProperty)\((request|response|socket|stream|server|session|joining)\b/,
  /\bdecorateReply\('hijack'/,
  /\bapp\.(get|route) = /
]

const code = new Map<string, string>()
for (const name of await readdir(join(ROOT, 'lib'), { recursive: true })) {
  if (name.endsWith('.ts')) code.set(`lib/${name}`, withoutComments(await readFile(join(ROOT, 'lib', name), 'utf8')))
}
const section = (await readFile(join(ROOT, 'docs/architecture.md'), 'utf8')).split(HEADING)[1]!.split('\n## ')[0]!

function withoutComments (source: string): string {
  return source.replace(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, '')
}

t.test('the list names the modules that use what is not public, and no others', async t => {
  const listed = [...section.matchAll(/^- `(lib\/[^`]+)`/gm)].map(([, name]) => name!)
  const found = [...code].filter(([, source]) => USES.some(use => use.test(source))).map(([name]) => name)
  t.strictSame(listed.toSorted(), found.toSorted())
})

t.test('it names every symbol of Fastify that is looked for', async t => {
  const symbols = [...code.values()].flatMap(source => [...source.matchAll(/readInternal\([^,()]+, '([^']+)'\)/g)].map(([, symbol]) => symbol!))
  for (const symbol of new Set(symbols)) t.match(section, `\`${symbol}\``)
  for (const [, symbol] of section.matchAll(/`(fastify\.\w+)`/g)) t.ok(symbols.includes(symbol!), `${symbol} is looked for`)
})

t.test('it names every member with an underscore, and every symbol of Node', async t => {
  const members = [...code.values()].flatMap(source => [
    ...source.matchAll(/\b(_handle|_httpMessage|_writeState)\b/g),
    ...source.matchAll(/findSymbol\('(\w+)'\)/g)
  ].map(([, member]) => member!))
  for (const member of new Set(members)) t.match(section, new RegExp(`\`${member}\\b`))
})
