/* global addEventListener, document, history, localStorage, location, scrollTo, visualViewport */

import { Conversation } from './conversation.js'
import { avatarOf, element, listNames, nameOf } from './elements.js'
import { limit } from './limit.js'
import { Outbox } from './outbox.js'
import { RoomConnection } from './room-connection.js'

const TYPING_TOLD = 2_000 // ms between two of ours
const TYPING_SHOWN = 4_000 // ms after the last of theirs

// Characters that the server takes.
const LONGEST_TEXT = 2_000
const LONGEST_NAME = 24
const LONGEST_ROOM = 32

const $ = id => document.getElementById(id)

let name = localStorage.getItem('name') ?? ''
let room = ''
let you = ''
let latest // the id of the last message that we have
let state = 'connecting'
let unread = 0 // while nobody looks

const people = new Map() // by id
const typists = new Map() // by id: the name, and the timer that ends it

const conversation = new Conversation($('scroller'), $('messages'), $('newer'))
const outbox = new Outbox()
const connection = new RoomConnection({
  address: () => `rooms/${encodeURIComponent(room)}?${new URLSearchParams({ name, ...(latest && { after: latest }) })}`,
  onState: showState,
  onMessage: receive
})

// The room is in the address, so that it can be passed on.

function enterRoom () {
  const asked = toRoomName(decode(location.hash.slice(1))) || 'lobby'
  const wanted = [...asked].slice(0, LONGEST_ROOM).join('')
  history.replaceState(null, '', `#${wanted}`)
  if (wanted === room) return
  room = wanted
  latest = undefined
  outbox.stop()
  people.clear()
  conversation.clear()
  if (asked !== wanted) conversation.addGap(`The address has a longer name: rooms have up to ${LONGEST_ROOM} characters`)
  $('scroller').ariaBusy = 'true'
  $('room-name').textContent = room
  $('text').placeholder = `Message #${room}`
  showTitle()
  showPeople()
  stopTyping(...typists.keys())
  if (name !== '') connection.connect()
}

/** Turns text into a room name that the server accepts. The length is not checked here. */
function toRoomName (text) {
  const kept = text.normalize().toLowerCase().replace(/\p{Default_Ignorable_Code_Point}|[^\p{L}\p{M}\p{N}_\s-]/gu, '')
  return kept.trim().replace(/[\s-]+/g, '-')
}

function decode (text) {
  try {
    return decodeURIComponent(text)
  } catch {
    return ''
  }
}

addEventListener('hashchange', enterRoom)

const showRoomLimit = limit($('new-room'), LONGEST_ROOM, $('new-room-limit'), toRoomName)
$('new-room').addEventListener('input', showNewRoom)

/** Shows the name that a room gets, if it is not what was written. */
function showNewRoom () {
  const text = $('new-room').value
  const wanted = toRoomName(text)
  const opens = wanted === '' ? ['Rooms have letters or digits in their names'] : ['Opens ', element('bdi', 'name', wanted)]
  $('new-room-name').replaceChildren(...wanted === text ? [] : opens)
}

$('open-room').addEventListener('submit', event => {
  event.preventDefault()
  const wanted = toRoomName($('new-room').value)
  if (wanted === '' || !$('new-room').validity.valid) return $('new-room').focus()
  location.hash = wanted
  $('new-room').value = ''
  showRoomLimit()
  showNewRoom()
  leaveSidebar()
})

function leaveSidebar () {
  if ($('sidebar').matches(':popover-open')) $('sidebar').hidePopover()
  $('text').focus()
}

// The user's own name.

const showNameLimit = limit($('name'), LONGEST_NAME, $('name-limit'))

function askName () {
  $('name').value = name
  showNameLimit()
  $('hello').returnValue = ''
  $('hello').showModal()
}

$('rename').addEventListener('click', askName)
$('hello').addEventListener('close', () => {
  if (name === '') askName() // without one there is no way in
  else if ($('hello').returnValue !== '') leaveSidebar()
})
$('hello').addEventListener('submit', () => {
  const wanted = $('name').value.trim()
  if (wanted !== name) {
    name = wanted
    localStorage.setItem('name', name)
    connection.connect()
  }
})

// Messages from the server.

function receive (message) {
  switch (message.type) {
    case 'welcome': return welcome(message)
    case 'said': return said(message.message)
    case 'joined':
    case 'left': return comeOrGo(message.person, message.type)
    case 'typing': return startTyping(message.person)
    case 'rooms': return showRooms(message.rooms)
    case 'alive': return showLatency(message.latency)
  }
}

function welcome (message) {
  you = message.you
  people.clear()
  for (const person of message.people) people.set(person.id, person)
  showPeople()
  // The server removes what cannot be seen.
  name = people.get(you).name
  localStorage.setItem('name', name)
  if (message.isGap) conversation.addGap('Some messages may be missing here')
  for (const missed of message.messages) said(missed)
  for (const waiting of outbox.waitingFor(room)) showWaiting(waiting)
  showSending()
  outbox.start(room, ready => connection.send(ready))
  $('scroller').ariaBusy = 'false'
}

function said (message) {
  const isOwn = message.from.id === you
  latest = message.id
  if (isOwn) outbox.confirm(message.id)
  stopTyping(message.from.id)
  const isNew = conversation.add(message, { isOwn })
  if (isOwn) showSending()
  if (isNew && document.hidden) unread++
  showTitle()
}

function comeOrGo (person, verb) {
  const known = people.get(person.id)
  if (verb === 'joined') people.set(person.id, person)
  else people.delete(person.id)
  stopTyping(person.id)
  showPeople()
  if ((known === undefined) === (verb === 'joined')) conversation.addNotice(person, verb)
}

// Messages to the server.

const showTextLimit = limit($('text'), LONGEST_TEXT, $('text-limit'))

$('composer').addEventListener('submit', event => {
  event.preventDefault()
  const text = $('text').value.trim()
  $('text').focus()
  if (text === '') return
  $('text').value = ''
  showTextLimit()
  toldTyping = 0
  showWaiting(outbox.add(room, text))
  showSending()
})

$('text').addEventListener('keydown', event => {
  // While a word is composed, Enter chooses it; Safari tells that by the key code only.
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return
  event.preventDefault()
  $('composer').requestSubmit()
})

// The keyboard of a phone stays when the button is touched.
$('send').addEventListener('pointerdown', event => event.preventDefault())

function showWaiting (message) {
  conversation.add({ ...message, from: { id: you, name } }, { isOwn: true, isPending: true })
}

/** Text pasted as many messages takes a while to send, because the outbox sends them one by one. */
function showSending () {
  const count = outbox.waitingFor(room).length
  conversation.explainWait(state !== 'open' ? 'Not sent yet' : count > 1 ? `Sending ${count} messages…` : 'Sending…')
}

// Typing indicators.

let toldTyping = 0

$('text').addEventListener('input', () => {
  if (state !== 'open' || $('text').value.trim() === '' || Date.now() - toldTyping < TYPING_TOLD) return
  toldTyping = Date.now()
  connection.send({ type: 'typing' })
})

function startTyping (person) {
  clearTimeout(typists.get(person.id)?.timer)
  typists.set(person.id, { name: person.name, timer: setTimeout(stopTyping, TYPING_SHOWN, person.id) })
  showTyping()
}

function stopTyping (...ids) {
  for (const id of ids) {
    clearTimeout(typists.get(id)?.timer)
    typists.delete(id)
  }
  showTyping()
}

function showTyping () {
  const who = [...typists.values()]
  const verb = who.length === 1 ? 'is typing' : 'are typing'
  $('typing').replaceChildren(...who.length === 0 ? [] : [...who.length > 3 ? ['Several people'] : listNames(who), ` ${verb}`])
}

// The parts of the page around the messages.

function showTitle () {
  document.title = `${unread > 0 ? `(${unread}) ` : ''}#${room} · Chat`
}

function showPeople () {
  const sorted = [...people.values()].sort((a, b) => a.name.localeCompare(b.name))
  $('people').replaceChildren(...sorted.map(person => {
    const item = element('li', '', avatarOf(person), nameOf(person))
    if (person.id === you) item.append(element('span', 'you', 'you'))
    return item
  }))
  $('count').textContent = people.size === 0 ? '' : people.size === 1 ? 'Only you are here' : `${people.size} people are here`
}

function showRooms (rooms) {
  const sorted = rooms.sort((a, b) => b.people - a.people || a.name.localeCompare(b.name))
  const focused = document.activeElement.dataset.room
  $('rooms').replaceChildren(...sorted.map(({ name, people }) => {
    const link = element('a', '', element('bdi', 'name', name), element('span', 'count', `${people}`), element('span', 'spoken', people === 1 ? ' person' : ' people'))
    link.href = `#${name}`
    link.dataset.room = name
    if (name === room) link.ariaCurrent = 'page'
    return element('li', '', link)
  }))
  // The list changes under the fingers of whoever goes through it by keyboard.
  if (focused !== undefined) $('rooms').querySelector(`[data-room="${focused}"]`)?.focus()
}

$('rooms').addEventListener('click', event => {
  if (event.target.closest('a') !== null) leaveSidebar()
})

function showLatency (milliseconds) {
  if (milliseconds === undefined) return
  $('latency').textContent = `${milliseconds < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds)} ms`
}

let countdown = 0

function showState (next, retryAt, reason) {
  state = next
  showSending()
  if (state !== 'open') {
    outbox.stop()
    stopTyping(...typists.keys())
    $('latency').textContent = ''
  }
  $('status').dataset.state = state
  $('state').textContent = { connecting: 'Connecting', open: 'Connected', waiting: 'Not connected' }[state]
  clearInterval(countdown)
  if (state === 'open') $('trouble').hidden = true
  if (state !== 'waiting') {
    $('countdown').textContent = ''
    return
  }
  const text = reason || (navigator.onLine ? 'The connection is lost.' : 'You are offline.')
  if ($('trouble').hidden) $('trouble-text').textContent = `${text} What you write is sent when it is back.`
  $('trouble').hidden = false
  const tick = () => {
    const seconds = Math.ceil((retryAt - Date.now()) / 1000)
    $('countdown').textContent = seconds > 1 ? `Trying again in ${seconds} s.` : 'Trying again.'
  }
  tick()
  countdown = setInterval(tick, 1000)
}

$('retry').addEventListener('click', () => {
  connection.connect()
  $('text').focus()
})

addEventListener('offline', () => connection.lose())

// A phone that wakes up, or finds a network, need not wait.
addEventListener('online', reconnect)
document.addEventListener('visibilitychange', () => {
  if (document.hidden) return
  unread = 0
  showTitle()
  reconnect()
})

function reconnect () {
  if (connection.isWaiting) connection.connect()
}

// Safari's keyboard covers the page instead of making it smaller.
visualViewport.addEventListener('resize', () => {
  if (visualViewport.scale !== 1) return
  document.documentElement.style.setProperty('--height', `${visualViewport.height}px`)
  scrollTo(0, 0)
})

enterRoom()
if (name === '') askName()
else $('text').focus()
