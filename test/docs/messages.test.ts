import { Client, runChecks, start } from './support.js'

runChecks({
  async json (t, example) {
    const { url } = await start(t, example)
    const [one, other] = [await Client.open(t, `${url}/talk`), await Client.open(t, `${url}/talk`)]
    one.socket.send('{"type":"say","id":7,"text":"hello"}')
    t.strictSame(JSON.parse(await one.text()), { type: 'ack', id: 7 })
    t.strictSame(JSON.parse(await other.text()), { type: 'said', text: 'hello' })
    other.socket.send('{"type":"typing","on":true,"secret":"x"}')
    t.strictSame(JSON.parse(await one.text()), { type: 'typing', on: true })
    other.socket.send('{"type":"say","id":"x","text":""}')
    t.match(await other.closed, { code: 1008, reason: /^message\/id must be integer/ })
    one.socket.send('hello')
    t.strictSame(await one.closed, { code: 1007, reason: 'the message is not JSON' })
  },

  async 'json loop' (t, example) {
    const { url } = await start(t, example)
    const client = await Client.open(t, `${url}/total`)
    for (const [message, answer] of [
      ['{"n":1}', { total: 1 }],
      ['{"n":"2.5"}', { total: 3.5 }],
      ['{}', { error: "message must have required property 'n'", validation: 1 }],
      ['?', { error: 'the message is not JSON' }]
    ] as const) {
      client.socket.send(message)
      t.strictSame(JSON.parse(await client.text()), answer)
    }
    client.socket.send(JSON.stringify('x'.repeat(100)))
    t.equal((await client.closed).code, 1008)
  },

  async broadcasting (t, example) {
    const { app, url } = await start(t, example)
    const clients = [await Client.open(t, `${url}/chat`), await Client.open(t, `${url}/chat`)] as const
    clients[0].socket.send('hello')
    t.equal(await clients[1].text(), 'somebody says hello')
    t.strictSame((await app.inject({ method: 'POST', url: '/news' })).json(), { everybody: 2 })
    t.equal(await clients[0].text(), 'there is news', 'nobody hears himself')
    t.equal(await clients[1].text(), 'there is news')
    t.strictSame((await app.inject('/here')).json(), { inChat: 2 })
  },

  async 'closing a user' (t, example) {
    const { url } = await start(t, example)
    const [one, two, bob] = await Promise.all(['ada', 'ada', 'bob'].map(user => Client.open(t, `${url}/inbox?user=${user}`)))
    one!.socket.send('log me out')
    for (const client of [one!, two!]) t.strictSame(await client.closed, { code: 4001, reason: 'logged out' })
    bob!.socket.send('hello')
    t.equal(await bob!.text(), 'you wrote hello')
  },

  async rooms (t, example) {
    const { url } = await start(t, example)
    const [ada, bob, eve] = await Promise.all(['tea', 'tea', 'coffee'].map(room => Client.open(t, `${url}/rooms/${room}`)))
    ada!.socket.send('to tea')
    eve!.socket.send('to coffee')
    t.equal(await ada!.text(), 'to tea')
    t.equal(await bob!.text(), 'to tea')
    t.equal(await eve!.text(), 'to coffee')
  }
})
