import { access, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { CLOSE_EVENTS, CLOSE_STATES, transition } from '../../lib/connection/close-handshake.js'
import { LAYERS } from '../../scripts/layers.js'
import { cellsOf, ROOT } from '../support/examples.js'
import { runChecks } from './support.js'

runChecks({
  // The folders and files that the map names are there, and it forgets none.
  async 'source layout' (t, { text }) {
    for (const [, folder] of text.matchAll(/^(\w+)\//gm)) await access(join(ROOT, folder!))
    const listed = [...text.matchAll(/^ {2}(\S+?)\/? {2,}\S/gm)].map(([, name]) => name!).sort()
    t.strictSame(listed, (await readdir(join(ROOT, 'lib'))).sort())
  },

  // The table is that of `npm run lint`, without the layers that are not there (yet, or any more).
  async layers (t, { text }) {
    const there = new Set(['types', ...await readdir(join(ROOT, 'lib'))])
    const rows = LAYERS.filter(({ name }) => there.has(name)).map(({ name, node = [], packages = [], without = [], env = false }) => [
      `\`${name}\``,
      node.map(module => `\`${module}\``).join(', '),
      packages.map(name => `\`${name}\``).join(', '),
      [...groupsOf(without), ...env ? [] : ['environment']].join(', ')
    ])
    t.strictSame(cellsOf(text), rows)
    t.strictSame([...there].filter(name => !LAYERS.some(layer => layer.name === name)), [], 'each has a place')
  },

  // The diagram has each transition of the table to another state, and no other.
  async 'closing handshake' (t, { text }) {
    const drawn = [...text.matchAll(/^ *(\w+) --> (\w+): (.+)$/gm)]
      .flatMap(([, from, to, events]) => events!.split(', ').map(event => `${from} ${event} ${to}`))
    const expected = CLOSE_STATES.flatMap(from => CLOSE_EVENTS.flatMap(event => {
      const next = transition(from, event)
      return next === null || next.state === from ? [] : [`${from} ${event} ${next.state}`]
    }))
    t.strictSame(drawn.toSorted(), expected.toSorted())
  }
})

/** What a layer does without, in the words of the document. */
function groupsOf (without: readonly string[]): string[] {
  const groups = { timers: 'setTimeout', process: 'process', collector: 'WeakRef' }
  return Object.entries(groups).filter(([, member]) => without.includes(member)).map(([group]) => group)
}
