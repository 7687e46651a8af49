import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CLOSE_TIMEOUT, HEARTBEAT_DEFAULTS, RATE_LIMIT_DEFAULTS, TOPIC_DEFAULTS } from '../../lib/options/settings.js'
import { cellsOf, ROOT } from '../support/examples.js'
import { runChecks } from './support.js'

// Tables of members and options have all that the types have, and no other; defaults are those of the sources.

/** The members of an interface in types/, those of which the name begins with a capital left out. */
async function membersOf (file: string, name: string): Promise<string[]> {
  const text = await readFile(join(ROOT, 'types', file), 'utf8')
  const body = new RegExp(`^export interface ${name}\\b[^]*?\\{\\n([^]*?)^\\}`, 'm').exec(text)![1]!
  return [...new Set([...body.matchAll(/^ {2}(?:readonly )?([a-z]\w*)(?=[?:(<]| \(|<)/gm)].map(([, member]) => member!))].sort()
}

/** The names in the first column: words in code marks, without arguments, and without what is before a dot. */
function namesIn (table: string, column = 0): string[] {
  const names = cellsOf(table).flatMap(row => [...row[column]!.matchAll(/`(?:\w+\.)*(\w+)[^`]*`/g)].map(([, name]) => name!))
  return [...new Set(names)].sort()
}

/** The numbers in a column of the rows whose option has a default. */
function numbersIn (table: string, column: number): Record<string, number> {
  return Object.fromEntries(cellsOf(table).flatMap(row => {
    const [, name] = /`(?:\w+\.)*(\w+)`/.exec(row[0]!)!
    const [, number, seconds] = /^([\d,]+)( s)?$/.exec(row[column]!) ?? []
    if (row[column] === '`Infinity`') return [[name!, Infinity]]
    return number === undefined ? [] : [[name!, Number(number.replaceAll(',', '')) * (seconds === undefined ? 1 : 1000)]]
  }))
}

runChecks({
  async 'connection events' (t, { text }) {
    // `open` is one of clients alone.
    t.strictSame(namesIn(text), (await membersOf('connection-types.ts', 'WebSocketConnectionEvents')).filter(name => name !== 'open'))
  },

  async 'connection members' (t, { text }) {
    const members = [...await membersOf('connection.ts', 'WebSocketConnectionOf'), ...await membersOf('topics.ts', 'TopicSubscriber')]
    t.strictSame(namesIn(text).sort(), [...new Set(members)].sort())
  },

  async 'send options' (t, { text }) {
    t.strictSame(namesIn(text), await membersOf('messages.ts', 'SendOptions'))
  },

  async 'broadcast options' (t, { text }) {
    t.strictSame(namesIn(text), await membersOf('connection.ts', 'BroadcastOptions'))
  },

  async 'injectWS options' (t, { text }) {
    t.strictSame(namesIn(text), [...await membersOf('fastify.ts', 'InjectWSContext'), ...await membersOf('fastify.ts', 'InjectWSOptions')].sort())
  },

  async 'rate limit options' (t, { text }) {
    t.strictSame(numbersIn(text, 2), { ...RATE_LIMIT_DEFAULTS })
  },

  async 'heartbeat options' (t, { text }) {
    t.strictSame(numbersIn(text, 2), { ...HEARTBEAT_DEFAULTS })
  },

  async 'closing options' (t, { text }) {
    // The last is Fastify's.
    t.strictSame(numbersIn(text, 2), { closeTimeout: CLOSE_TIMEOUT, drainTime: 0, pluginTimeout: 10_000 })
  },

  async 'topic options' (t, { text }) {
    const names = cellsOf(text).map(([option]) => /`(\w+)/.exec(option!)![1]!)
    t.strictSame(names.sort(), await membersOf('declared-topics.ts', 'TopicDeclaration'))
  },

  async 'topics limits' (t, { text }) {
    t.strictSame(numbersIn(text, 1), { ...TOPIC_DEFAULTS })
  }
})
