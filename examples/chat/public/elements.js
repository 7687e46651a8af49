/* global document */

/** What people type gets into the page by this function only: as text, never as HTML. */
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

/** The initials of somebody, in a colour that stays theirs. */
export function avatarOf (person) {
  const words = person.name.split(/\s+/)
  const avatar = element('span', 'avatar', [...new Set([words.at(0), words.at(-1)])].map(firstLetter).join(''))
  avatar.ariaHidden = 'true'
  setColour(avatar, person)
  return avatar
}

export function setColour (target, { id }) {
  let hash = 0
  for (const character of id) hash = (hash * 31 + character.codePointAt(0)) % 65_521
  target.style.setProperty('--hue', hash % 12 * 30)
}

/** A letter may be several code points. */
function firstLetter (word) {
  const [first] = new Intl.Segmenter().segment(word)
  return first?.segment.toUpperCase() ?? ''
}
