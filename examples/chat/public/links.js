import { element } from './elements.js'

// Up to a space, what HTML and quotes delimit, or a character that turns the direction of writing.
const ADDRESS = /(?<![\p{L}\p{N}_])https?:\/\/[^\s<>"“”«»\p{Cc}\p{Bidi_Control}]+/giu
const PUNCTUATION = /[.,:;!?'’*_~…、。，．：；！？]+$/u
const BRACKETS = { '(': ')', '[': ']', '{': '}', '（': '）', '「': '」', '【': '】' }
const CLOSING = new Set(Object.values(BRACKETS))

/** A text, in pieces: what is an address over HTTP is a link. */
export function withLinks (text) {
  const pieces = []
  let end = 0
  for (const { 0: match, index } of text.matchAll(ADDRESS)) {
    const address = trim(match)
    // With a user name before it, the host looks like another one.
    if (!URL.canParse(address) || new URL(address).username !== '') continue
    pieces.push(text.slice(end, index), linkTo(address))
    end = index + address.length
  }
  return [...pieces, text.slice(end)]
}

function linkTo (address) {
  const link = element('a', '', address)
  link.href = address
  link.target = '_blank'
  link.rel = 'noopener noreferrer'
  return link
}

/** Takes off what belongs to the sentence: punctuation at the end, and from the first bracket that has no partner. */
function trim (address) {
  const open = []
  let end = 0
  for (; end < address.length; end++) {
    const character = address[end]
    if (Object.hasOwn(BRACKETS, character)) open.push(end)
    else if (CLOSING.has(character) && BRACKETS[address[open.at(-1)]] !== character) break
    else if (CLOSING.has(character)) open.pop()
  }
  return address.slice(0, open[0] ?? end).replace(PUNCTUATION, '')
}
