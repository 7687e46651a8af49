import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ROOT } from '../support/examples.js'
import { runChecks } from './support.js'

/** The list, as the installed Fastify has it. */
const LIST = join(ROOT, 'node_modules/fastify/docs/Guides/Ecosystem.md')

/** As Fastify's lint of its list compares two names. */
const compare = (a: string, b: string): number => a.localeCompare(b, 'en', { sensitivity: 'base' })

runChecks({
  async 'ecosystem entry' (t, { text }) {
    const [, name] = /^- \[`(.+)`\]\(https:\/\/github\.com\/[\w-]+\/[\w-]+\) \S/.exec(text) ?? []
    t.equal(name, 'fastify-ws-routes')
    const [, community] = (await readFile(LIST, 'utf8')).split(/^#### \[Community.*$/m)
    const names = [...community!.matchAll(/^- \[`(.+)`\]/gm)].map(([, name]) => name!)
    const place = names.indexOf('fastify-xml-body-parser')
    t.equal(names[place - 1], 'fastify-ws', 'the neighbours that the text names')
    t.ok(compare(names[place - 1]!, name!) < 0 && compare(name!, names[place]!) < 0, 'its place')
    const [, ...others] = text.trimEnd().split('\n')
    for (const line of others) t.match(line, /^ {2}\S/)
    for (const line of text.split('\n')) t.ok(line.length <= 80, line)
    t.match(text, /\.\n?$/)
  }
})
