/** Hues of avatars. */
const COLOURS = 12

// A joiner makes one emoji of two, and a variation selector says that a character is one. All other characters without a
// shape (controls, overrides of the direction, fillers) could make a name look like that of somebody else.
const JOINED_EMOJI = '(?<=[\\p{Extended_Pictographic}\\p{Emoji_Modifier}\\ufe0f])\\u200d(?=\\p{Extended_Pictographic})|(?<=\\p{Extended_Pictographic})\\ufe0f'
const INVISIBLE = '[\\p{Cc}\\p{Cf}\\p{Co}\\p{Cs}\\p{Default_Ignorable_Code_Point}\\u2800]'
const KEPT_OR_REMOVED = new RegExp(`(${JOINED_EMOJI})|${INVISIBLE}`, 'gu')

/** A name without the characters that cannot be seen, and with single spaces. Empty if nothing is left. */
export function visibleName (name: string): string {
  return name.normalize().replace(/\s+/gu, ' ').replace(KEPT_OR_REMOVED, '$1').trim()
}

/** The colour that follows from an id, or another one while somebody else has it, as long as there are enough. */
export function freeColour (id: string, taken: ReadonlySet<number>): number {
  let hash = 0
  for (const character of id) hash = (hash * 31 + character.codePointAt(0)!) % 65_521
  // Steps of 5 visit all 12, and each is far from the last.
  const wanted = Array.from({ length: COLOURS }, (_, i) => (hash + 5 * i) % COLOURS)
  return wanted.find(colour => !taken.has(colour)) ?? wanted[0]!
}
