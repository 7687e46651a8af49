/* global addEventListener, document, history, localStorage, location, scrollTo, visualViewport */

import { connect } from './fastify-ws-routes-client.js'
import { Conversation } from './conversation.js'
import { avatarOf, element, listNames, nameOf } from './elements.js'
import { limit } from './limit.js'
import { Outbox } from './outbox.js'

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
let live // the connection, which comes back by itself
let inRoom // the topic of the room
let state = 'connecting'
let unread = 0 // while nobody looks

const people = new Map() // by id; somebody with two tabs is there once
const typists = new Map() // by id: the name, and the timer that ends it

const conversation = new Conversation($('scroller'), $('messages'), $('newer'))
const outbox = new Outbox()

/** Connects to the room, or again with another name. */
function join () {
  const since = inRoom?.name === `rooms/${room}` ? inRoom.position : undefined
  const isBack = since !== undefined
  live?.close()
  const own = live = connect(() => `rooms/${encodeURIComponent(room)}?${new URLSearchParams({ name })}`, { backoff: { base: 500, cap: 15_000 } })
  own.on('state', (next, closure) => {
    // The room, and not the connection, shows that we are in.
    if (next !== 'open') showState(next, closure)
  })
  own.on('message', receive)
  own.topic('lobby').on('presence', showRooms)
  own.topic(`typing/${room}`).on('message', startTyping)

  const topic = inRoom = own.topic(`rooms/${room}`, { since: since ?? undefined })
  let isKnown = isBack
  topic.on('message', (message, position, id) => said({ id, ...message }))
  topic.on('reset', messages => {
    if (isKnown && messages.length > 0) conversation.addGap('Some messages may be missing here')
    for (const message of messages) said(message)
    isKnown = true
  })
  topic.on('presence', showMembers)
  topic.on('live', () => {
    showState('open')
    for (const waiting of outbox.waitingFor(room)) showWaiting(waiting)
    showSending()
    $('scroller').ariaBusy = 'false'
  })
  for (const waiting of outbox.waitingFor(room)) publish(waiting)
}

/** The client sends it now, or when there is a connection. */
function publish ({ id, text }) {
  const topic = inRoom
  topic.publish({ text }, { id }).then(() => outbox.confirm(id), error => {
    // If the page has gone to another room, it is sent when it is back.
    if (topic === inRoom) conversation.explainWait(`Not sent: ${error.message}`)
  })
}

// The room is in the address, so that it can be passed on.

function enterRoom () {
  const asked = toRoomName(decode(location.hash.slice(1))) || 'lobby'
  const wanted = [...asked].slice(0, LONGEST_ROOM).join('')
  history.replaceState(null, '', `#${wanted}`)
  if (wanted === room) return
  room = wanted
  inRoom = undefined
  people.clear()
  conversation.clear()
  if (asked !== wanted) conversation.addGap(`The address has a longer name: rooms have up to ${LONGEST_ROOM} characters`)
  $('scroller').ariaBusy = 'true'
  $('room-name').textContent = room
  $('text').placeholder = `Message #${room}`
  showTitle()
  showPeople()
  stopTyping(...typists.keys())
  if (name !== '') join()
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
    join()
  }
})

// Messages from the server.

function receive (message) {
  if (message.type === 'alive') return showLatency(message.latency)
  you = message.you.id
  // The server removes what cannot be seen.
  name = message.you.name
  localStorage.setItem('name', name)
}

function said (message) {
  const isOwn = message.from.id === you
  if (isOwn) outbox.confirm(message.id)
  stopTyping(message.from.id)
  const isNew = conversation.add(message, { isOwn })
  if (isOwn) showSending()
  if (isNew && document.hidden) unread++
  showTitle()
}

/** Shows who is there, and who has come or gone since the last time. */
function showMembers (members) {
  const now = new Map(members.map(({ info }) => [info.id, info]))
  const before = new Map(people)
  people.clear()
  for (const [id, person] of now) people.set(id, person)
  showPeople()
  if (before.size === 0) return // the first list
  for (const [id, person] of before) if (!now.has(id)) comeOrGo(person, 'left')
  for (const [id, person] of now) if (!before.has(id)) comeOrGo(person, 'joined')
}

function comeOrGo (person, verb) {
  stopTyping(person.id)
  conversation.addNotice(person, verb)
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
  const message = outbox.add(room, text)
  showWaiting(message)
  showSending()
  publish(message)
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

function showSending () {
  const count = outbox.waitingFor(room).length
  conversation.explainWait(state !== 'open' ? 'Not sent yet' : count > 1 ? `Sending ${count} messages…` : 'Sending…')
}

// Typing indicators.

let toldTyping = 0

$('text').addEventListener('input', () => {
  if (state !== 'open' || $('text').value.trim() === '' || Date.now() - toldTyping < TYPING_TOLD) return
  toldTyping = Date.now()
  live.topic(`typing/${room}`).publish(null).catch(() => {})
})

function startTyping (person) {
  if (person.id === you) return
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

function showRooms (members) {
  const rooms = new Map()
  for (const { info } of members) rooms.set(info.room, (rooms.get(info.room) ?? new Set()).add(info.id))
  const sorted = Array.from(rooms, ([name, { size }]) => ({ name, people: size }))
  sorted.sort((a, b) => b.people - a.people || a.name.localeCompare(b.name))
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

function showState (next, closure) {
  state = next === 'closed' ? 'waiting' : next
  showSending()
  if (state !== 'open') {
    stopTyping(...typists.keys())
    $('latency').textContent = ''
  }
  $('status').dataset.state = state
  $('state').textContent = { connecting: 'Connecting', open: 'Connected', waiting: 'Not connected' }[state]
  if (state === 'open') $('trouble').hidden = true
  if (state !== 'waiting') return
  const text = closure?.reason || (navigator.onLine ? 'The connection is lost.' : 'You are offline.')
  if ($('trouble').hidden) $('trouble-text').textContent = `${text} What you write is sent when it is back.`
  $('trouble').hidden = false
}

$('retry').addEventListener('click', () => {
  live.reconnect()
  $('text').focus()
})

document.addEventListener('visibilitychange', () => {
  if (document.hidden) return
  unread = 0
  showTitle()
})

// Safari's keyboard covers the page instead of making it smaller.
visualViewport.addEventListener('resize', () => {
  if (visualViewport.scale !== 1) return
  document.documentElement.style.setProperty('--height', `${visualViewport.height}px`)
  scrollTo(0, 0)
})

enterRoom()
if (name === '') askName()
else $('text').focus()
