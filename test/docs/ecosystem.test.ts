import { runChecks } from './support.js'

/** As Fastify's lint of its list compares two names. */
const compare = (a: string, b: string): number => a.localeCompare(b, 'en', { sensitivity: 'base' })

runChecks({
  async 'ecosystem entry' (t, { text }) {
    const [, name] = /^- \[`(.+)`\]\(https:\/\/github\.com\/[\w-]+\/[\w-]+\) \S/.exec(text) ?? []
    t.equal(name, 'fastify-ws-routes')
    t.ok(compare('fastify-ws', name!) < 0 && compare(name!, 'fastify-xml-body-parser') < 0, 'its place')
    const [, ...others] = text.trimEnd().split('\n')
    for (const line of others) t.match(line, /^ {2}\S/)
    for (const line of text.split('\n')) t.ok(line.length <= 80, line)
    t.match(text, /\.\n?$/)
  }
})
