/* global ResizeObserver */

import { avatarOf, element, listNames, nameOf, setColour } from './elements.js'
import { withLinks } from './links.js'

const GROUP = 5 * 60_000 // ms between messages of one author that stand together
const MOST_ITEMS = 400 // older ones leave the page
const NEAR_END = 80 // px

const clock = new Intl.DateTimeFormat([], { hour: '2-digit', minute: '2-digit' })
const calendar = new Intl.DateTimeFormat('en', { weekday: 'long', day: 'numeric', month: 'long' })

// Nothing but emoji, and not too many: they are shown large.
const EMOJI = /^(?=.{1,24}$)(?:\p{Extended_Pictographic}|\p{Emoji_Modifier}|\p{Regional_Indicator}|\u200d|\ufe0f|\s)+$/u

/** The messages of a room, as they stand in the page: those of the server in its order, then those that wait to be sent. */
export class Conversation {
  #scroller
  #items
  #newer
  #unseen = 0
  #day = ''
  /** By author and id: the item of a message, and whether it waits to be sent. */
  #messages = new Map()
  /** By item: what was said, by whom, and when. */
  #said = new WeakMap()
  #notice = null

  constructor (scroller, items, newer) {
    this.#scroller = scroller
    this.#items = items
    this.#newer = newer
    scroller.addEventListener('scroll', () => {
      if (this.#isAtEnd) this.#showUnseen(0)
    }, { passive: true })
    newer.addEventListener('click', () => this.scrollToEnd())
    // A keyboard that comes up covers the end, and a text that gets longer pushes it up.
    let wasAtEnd = true
    scroller.addEventListener('scroll', () => { wasAtEnd = this.#isAtEnd }, { passive: true })
    new ResizeObserver(() => {
      if (wasAtEnd) this.scrollToEnd()
    }).observe(scroller)
  }

  clear () {
    this.#items.replaceChildren()
    this.#messages.clear()
    this.#notice = null
    this.#day = ''
    this.#showUnseen(0)
  }

  scrollToEnd () {
    this.#scroller.scrollTop = this.#scroller.scrollHeight
    this.#showUnseen(0)
  }

  /** Shows a message unless it is shown already. Returns whether it is new. */
  add ({ id, from, text, time }, { isOwn, isPending = false }) {
    const key = `${from.id} ${id}` // an id is that of its author only
    const shown = this.#messages.get(key)
    if (shown !== undefined && (isPending || !shown.isPending)) return false
    const wasAtEnd = this.#isAtEnd
    if (shown !== undefined) this.#remove(shown.item)

    const bubble = element('p', EMOJI.test(text) ? 'text emoji' : 'text', ...withLinks(text))
    bubble.dir = 'auto'
    const item = element('li', 'message', element('p', 'head', nameOf(from), timeOf(time)), bubble)
    item.classList.toggle('own', isOwn)
    item.classList.toggle('pending', isPending)
    if (isPending) item.append(element('p', 'note'))
    if (!isOwn) item.prepend(avatarOf(from))
    setColour(item, from)
    this.#messages.set(key, { item, isPending })
    this.#said.set(item, { key, author: from.id, time })

    const before = isPending ? null : this.#firstPending
    if (!isPending) this.#addDay(time, before)
    this.#items.insertBefore(item, before)
    this.#notice = null
    this.#group(item)
    if (before !== null) this.#group(before)
    if (wasAtEnd) this.#trim()

    // The view stays where it is while the reader looks at older messages.
    if (wasAtEnd || (isOwn && shown === undefined)) this.scrollToEnd()
    else if (shown === undefined) this.#showUnseen(this.#unseen + 1)
    return shown === undefined
  }

  /** Somebody came or went. Those who do it one after another share a line, and who is back at once is not in it. */
  addNotice (person, verb) {
    const wasAtEnd = this.#isAtEnd
    this.#notice ??= { item: element('li', 'notice'), changes: new Map() }
    const { item, changes } = this.#notice
    if (verb === 'joined' && changes.get(person.id)?.verb === 'left') changes.delete(person.id)
    else changes.set(person.id, { person, verb })
    item.replaceChildren(...describe([...changes.values()]))
    if (changes.size === 0) item.remove()
    else if (!item.isConnected) this.#items.insertBefore(item, this.#firstPending)
    this.#regroup()
    if (wasAtEnd) this.scrollToEnd()
  }

  /** Says why messages wait, below the last of them. */
  explainWait (why) {
    const note = [...this.#items.querySelectorAll('.pending .note')].at(-1)
    if (note !== undefined && note.textContent !== why) note.textContent = why
  }

  /** Something is left out here. */
  addGap (what) {
    this.#items.insertBefore(element('li', 'gap', what), this.#firstPending)
    this.#notice = null
  }

  get #isAtEnd () {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller
    return scrollHeight - scrollTop - clientHeight < NEAR_END
  }

  get #firstPending () {
    return this.#items.querySelector('.pending')
  }

  #addDay (time, before) {
    const day = calendar.format(time)
    if (day === this.#day) return
    this.#day = day
    this.#items.insertBefore(element('li', 'day', day === calendar.format() ? 'Today' : day), before)
  }

  /** Messages of one author stand together, and say only once whose they are. */
  #group (item) {
    const said = this.#said.get(item)
    const previous = this.#said.get(item.previousElementSibling)
    const isFirst = previous?.author !== said.author || said.time - previous.time > GROUP
    item.classList.toggle('first', isFirst)
  }

  #regroup () {
    const next = this.#firstPending
    if (next !== null) this.#group(next)
  }

  #remove (item) {
    const next = item.nextElementSibling
    item.remove()
    if (this.#said.has(next)) this.#group(next)
  }

  #trim () {
    while (this.#items.childElementCount > MOST_ITEMS) {
      const oldest = this.#items.firstElementChild
      this.#messages.delete(this.#said.get(oldest)?.key)
      oldest.remove()
    }
  }

  #showUnseen (count) {
    this.#unseen = count
    this.#newer.hidden = count === 0
    if (count > 0) this.#newer.textContent = count === 1 ? '1 new message' : `${count} new messages`
  }
}

function timeOf (time) {
  const item = element('time', '', clock.format(time))
  item.dateTime = new Date(time).toISOString()
  return item
}

/** “Ada and Grace joined, Linus left”, with the names as elements of their own. */
function describe (changes) {
  return ['joined', 'left'].flatMap(verb => {
    const people = changes.filter(change => change.verb === verb).map(({ person }) => person)
    return people.length === 0 ? [] : [element('span', 'change', ...listNames(people), ` ${verb}`)]
  })
}
