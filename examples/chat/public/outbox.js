/* global sessionStorage */

// The server takes 40 messages in 2 s.
const PACE = 60 // ms

/**
 * Holds the messages that the server has not sent back yet. It sends them one by one, which preserves their order, and
 * sends them again after a lost connection, under the same ids, by which the server detects duplicates. They survive a
 * reload of the page.
 */
export class Outbox {
  #messages = JSON.parse(sessionStorage.getItem('outbox') ?? '[]')
  #room = null
  #send = null
  #underWay = null
  #pause = 0

  add (room, text) {
    const message = { id: createId(), room, text, time: Date.now() }
    this.#messages.push(message)
    this.#save()
    this.#sendNext()
    return message
  }

  /** Returns the messages that wait for a room. */
  waitingFor (room) {
    return this.#messages.filter(message => message.room === room)
  }

  /** There is a connection to a room. */
  start (room, send) {
    this.stop()
    this.#room = room
    this.#send = send
    this.#sendNext()
  }

  /** There is none any more. What was under way may not have arrived. */
  stop () {
    clearTimeout(this.#pause)
    this.#send = null
    this.#underWay = null
  }

  /** It came back from the server. */
  confirm (id) {
    this.#messages = this.#messages.filter(message => message.id !== id)
    this.#save()
    if (id !== this.#underWay) return
    this.#pause = setTimeout(() => {
      this.#underWay = null
      this.#sendNext()
    }, PACE)
  }

  #sendNext () {
    if (this.#send === null || this.#underWay !== null) return
    const [next] = this.waitingFor(this.#room)
    if (next === undefined) return
    this.#underWay = next.id
    this.#send({ type: 'say', id: next.id, text: next.text })
  }

  #save () {
    sessionStorage.setItem('outbox', JSON.stringify(this.#messages))
  }
}

/** crypto.randomUUID is there with HTTPS only, which a phone in the same network does not have. */
function createId () {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), byte => byte.toString(16).padStart(2, '0')).join('')
}
