import fc from 'fast-check'

/** Where the length of a character in UTF-8 changes, without the surrogates. */
const RANGES = [[0, 0x7f], [0x80, 0x7ff], [0x800, 0xd7ff], [0xe000, 0xffff], [0x10000, 0x10ffff]] as const

/** Any character, of each length as often. The unit `binary` of fast-check begins with a table of a million of them, which takes its time. */
export const arbitraryCharacter: fc.Arbitrary<string> = fc.oneof(...RANGES.map(([min, max]) => fc.integer({ min, max })))
  .map(codePoint => String.fromCodePoint(codePoint))
