/* global document */

const list = new Intl.ListFormat('en')

/** Only this function puts what people type into the page: as text, never as HTML. */
export function element (tag, className, ...children) {
  const created = document.createElement(tag)
  created.className = className
  created.append(...children)
  return created
}

/** Somebody's name in another direction of writing must not turn what stands beside it. */
export function nameOf (person) {
  return element('bdi', 'name', person.name)
}

/** “Ada, Grace and Linus”, with the names as elements of their own. */
export function listNames (people) {
  const names = people.map(nameOf)
  return list.formatToParts(people.map(String)).map(({ type, value }) => type === 'element' ? names.shift() : value)
}

/** The initials of somebody, in the colour that the server has chosen. */
export function avatarOf (person) {
  const words = person.name.split(/\s+/)
  const avatar = element('span', 'avatar', [...new Set([words.at(0), words.at(-1)])].map(firstLetter).join(''))
  avatar.ariaHidden = 'true'
  setColour(avatar, person)
  return avatar
}

export function setColour (target, { colour }) {
  target.style.setProperty('--hue', (colour ?? 0) * 30)
}

/** A letter may be several code points. */
function firstLetter (word) {
  const [first] = new Intl.Segmenter().segment(word)
  return first?.segment.toUpperCase() ?? ''
}
