/* global sessionStorage */

/**
 * Remembers the messages that are not published yet over a change of the room and a reload of the page: the client sends
 * them again over a lost connection, under the same ids, and the server detects duplicates by these.
 */
export class Outbox {
  #messages = JSON.parse(sessionStorage.getItem('outbox') ?? '[]')

  add (room, text) {
    const message = { id: createId(), room, text, time: Date.now() }
    this.#messages.push(message)
    this.#save()
    return message
  }

  /** Returns the messages that wait for a room. */
  waitingFor (room) {
    return this.#messages.filter(message => message.room === room)
  }

  /** It is published. */
  confirm (id) {
    this.#messages = this.#messages.filter(message => message.id !== id)
    this.#save()
  }

  #save () {
    sessionStorage.setItem('outbox', JSON.stringify(this.#messages))
  }
}

/** crypto.randomUUID is there with HTTPS only, which a phone in the same network does not have. */
function createId () {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), byte => byte.toString(16).padStart(2, '0')).join('')
}
