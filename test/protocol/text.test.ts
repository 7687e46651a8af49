import { execFileSync } from 'node:child_process'
import t from 'tap'
import fc from 'fast-check'
import { decodeText, encodeText } from '../../lib/protocol/text.js'
import { arbitraryCharacter } from '../support/arbitraries.js'

const LENGTHS = [0, 1, 1000, 1023, 1024, 1025, 16_383, 16_384, 16_385, 70_000]
const SAMPLES = ['a', 'ö', '€', '漢', '😀', '\0', '\ufeff', 'plain, then ü', 'a😀']

t.test('any text, at every size at which the way changes, is what V8 makes of it', async t => {
  const mistakes: string[] = []
  for (const sample of SAMPLES) {
    for (const length of LENGTHS) {
      const text = sample.repeat(Math.ceil(length / sample.length))
      const bytes = Buffer.from(text)
      if (!encodeText(text).equals(bytes)) mistakes.push(`encode ${sample} × ${length}`)
      if (decodeText(bytes) !== text) mistakes.push(`decode ${sample} × ${length}`)
    }
  }
  t.same(mistakes, [])
})

t.test('a surrogate without the other half becomes U+FFFD', async t => {
  for (const broken of ['\ud83d', '\ude00', 'a\ud83db', '\ud83d\ud83d\ude00']) {
    for (const length of [1, 5000, 20_000]) {
      const text = broken.repeat(length)
      t.ok(encodeText(text).equals(Buffer.from(text)), `${JSON.stringify(broken)} × ${length}`)
    }
  }
})

t.test('random text around one and sixteen kilobytes', async () => {
  fc.assert(fc.property(fc.string({ unit: arbitraryCharacter, maxLength: 40 }), fc.constantFrom(...LENGTHS), (unit, length) => {
    const text = unit.repeat(Math.ceil(length / Math.max(unit.length, 1)))
    return encodeText(text).equals(Buffer.from(text)) && decodeText(Buffer.from(text)) === text.toWellFormed()
  }), { numRuns: 200 })
})

t.test('a view of a larger buffer', async t => {
  const bytes = Buffer.from(`before${'€'.repeat(5000)}after`)
  t.equal(decodeText(bytes.subarray(6, 6 + 15_000)), '€'.repeat(5000))
})

t.test('the same without the fast path', async t => {
  const program = `
    const { decodeText, encodeText } = await import(${JSON.stringify(new URL('../../lib/protocol/text.ts', import.meta.url).href)})
    const text = '€'.repeat(40_000)
    console.log(decodeText(encodeText(text)) === text)`
  const env = { ...process.env, FASTIFY_WS_ROUTES_WITHOUT: 'transcode', NODE_OPTIONS: '' }
  const output = execFileSync(process.execPath, ['--import=tsx', '--input-type=module', '--eval', program], { env, encoding: 'utf8' })
  t.equal(output.trim(), 'true')
})

t.test('Latin-1 and ASCII of every size keep their bytes', async t => {
  for (const text of ['ÿ', 'a', 'aÿ', '\0', '\x80', 'ÿĀ']) {
    for (const length of [16_383, 16_384, 50_000]) t.ok(encodeText(text.repeat(length)).equals(Buffer.from(text.repeat(length))))
  }
})
