import { connect } from './fastify-ws-routes-client.js'

const INTERVAL = 200 // ms between two numbers
const SHOWN = 12

const page = Math.random().toString(36).slice(2, 6)
const element = id => document.getElementById(id)
const ports = await (await fetch('ports')).json()

// Each attempt goes to the next process, beginning with that of the page.
let next = Math.max(0, ports.indexOf(Number(window.location.port)))
const live = connect(() => `ws://${window.location.hostname}:${ports[next++ % ports.length]}/live`, { backoff: { cap: 1_000 } })
const counts = live.topic('counts')

const seen = { published: 0, stored: 0, received: 0, holes: 0, doubles: 0 }
const processes = new Set()
/** The last number of each page. */
const last = new Map([[page, 0]])

function show (text, className = '') {
  const item = document.createElement('li')
  item.textContent = text
  item.className = className
  element('messages').prepend(item)
  while (element('messages').children.length > SHOWN) element('messages').lastChild.remove()
}

function draw () {
  for (const [name, value] of Object.entries(seen)) element(name).textContent = value
  element('processes').textContent = processes.size
}

live.on('message', ({ port, pid }) => {
  processes.add(pid)
  element('state').textContent = `It is connected to process ${pid} on port ${port}.`
  show(`connected to process ${pid} on port ${port}`, 'process')
  element('kill').disabled = false
})
live.on('state', state => {
  if (state === 'open') return
  element('kill').disabled = true
  element('state').textContent = state === 'closed' ? 'The server has closed it.' : 'It connects.'
})
counts.on('message', message => {
  seen.received++
  const before = last.get(message.page)
  if (before !== undefined && message.number <= before) seen.doubles++
  else {
    if (before !== undefined) seen.holes += message.number - before - 1
    last.set(message.page, message.number)
  }
  show(`page ${message.page}: ${message.number}${message.page === page ? ' (this page)' : ''}`)
  draw()
})
counts.on('reset', () => show('too much was missed', 'process'))

element('kill').onclick = () => live.send('kill')

// Subscribed first, so that the page sees all of its own.
await counts.subscribe()
setInterval(async () => {
  seen.published++
  draw()
  await counts.publish({ page, number: seen.published })
  seen.stored++
  draw()
}, INTERVAL)
