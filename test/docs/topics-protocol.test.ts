import type { Test } from 'tap'
import type { Example } from '../support/examples.js'
import { runChecks } from './support.js'

/** The messages of an exchange, with the side that sends each. */
function readExchange (t: Test, { text }: Example): Array<{ isFromServer: boolean, message: object }> {
  return text.trim().split('\n').map(line => {
    const [, side, json] = /^([<>]) (\{.*\})$/.exec(line)!
    const message = JSON.parse(json!) as object
    t.equal(JSON.stringify(message), json, 'written without spaces')
    return { isFromServer: side === '<', message }
  })
}

runChecks({
  async 'topics protocol exchange' (t, example) {
    const [hello] = readExchange(t, example)
    t.ok(hello!.isFromServer)
    t.hasProp(hello!.message, 'hello')
  },

  async 'topics protocol resume' (t, example) {
    const [hello] = readExchange(t, example)
    t.ok(hello!.isFromServer)
    t.hasProp(hello!.message, 'hello')
  }
})
