import { access, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ROOT } from '../support/examples.js'
import { runChecks } from './support.js'

runChecks({
  // The folders and files that the map names are there, and it forgets none.
  async house (t, { text }) {
    for (const [, folder] of text.matchAll(/^(\w+)\//gm)) await access(join(ROOT, folder!))
    const listed = [...text.matchAll(/^ {2}(\S+?)\/? {2,}\S/gm)].map(([, name]) => name!).sort()
    t.strictSame(listed, (await readdir(join(ROOT, 'lib'))).sort())
  },

  // No module imports from a layer above its own.
  async arrows (t, { text }) {
    const layers = text.trim().split(/\s+→\s+/)
    const names = (await readdir(join(ROOT, 'lib'), { recursive: true })).filter(name => name.endsWith('.ts'))
    for (const name of names) {
      const own = layers.indexOf(layerOf(name))
      if (own === -1) continue
      const source = await readFile(join(ROOT, 'lib', name), 'utf8')
      for (const [, from] of source.matchAll(/ from '\.\.\/(\w+)\/[^']+'/g)) {
        if (from !== 'types') t.ok(layers.indexOf(from!) >= own, `${name} imports from ${from}`)
      }
      if (layerOf(name) === 'protocol') {
        t.notMatch(source, /from '(node:(net|tls|http|https|zlib|timers|stream)|fastify)/, `${name} does no I/O`)
      }
    }

    function layerOf (name: string): string {
      return name.split('/')[0]!.replace('.ts', '')
    }
  }
})
