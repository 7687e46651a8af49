import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { checkDecoder, type CreateDecoder } from '../fuzz/decoder-target.js'
import { fuzzDecoder, fuzzServer, Inputs } from '../fuzz/fuzzer.js'
import { CORPUS, FuzzFailure, readCorpus, readInput, save, type Input } from '../fuzz/input.js'
import { ServerTarget } from '../fuzz/server-target.js'
import { FrameDecoder } from '../lib/protocol/frame-decoder.js'
import { compiledProgram } from './support/programs.js'
import { text } from './support/raw-client.js'

// A few seconds of `npm run fuzz`, and whether it would find what it looks for.

const corpus = await readCorpus()
const target = await ServerTarget.start(compiledProgram(new URL('../fuzz/server.ts', import.meta.url)))
t.teardown(() => target.stop())

t.test('every input of the corpus is decoded as the RFC says, however it is cut', async t => {
  t.ok(corpus.size > 50)
  for (const [name, input] of corpus) {
    if (input.mode !== 'http') await t.resolves(checkDecoder(input), name)
  }
})

t.test('the server answers every input of the corpus as the RFC says, and an honest client beside', async t => {
  const inputs = [...corpus].filter(([, { mode }]) => mode !== 'client')
  await Promise.all(inputs.map(([name, input]) => t.resolves(target.checkAll(input), name)))
  await t.resolves(target.checkHonest())
})

t.test('some hundred inputs that nobody has seen before', async t => {
  const inputs = new Inputs(20261122, corpus.values())
  await t.resolves(fuzzDecoder(inputs, 500))
  await t.resolves(fuzzServer(target, inputs, 160))
  await t.resolves(target.checkMemory())
})

t.test('the same seed makes the same inputs', async t => {
  const make = async (seed: number): Promise<string> => {
    const inputs = new Inputs(seed, corpus.values())
    const made: Buffer[] = []
    for (let i = 0; i < 50; i++) {
      const input = inputs.next('deflate')
      inputs.note(input, await checkDecoder(input))
      made.push(input.bytes)
    }
    return Buffer.concat(made).toString('base64')
  }
  t.equal(await make(1), await make(1))
  t.not(await make(1), await make(2))
})

/** Decoders that are wrong, each in its way. */
const WRONG: Record<string, CreateDecoder> = {
  'has a limit that is one byte too high': (sink, options, isCompressionAgreed) =>
    new FrameDecoder(sink, { ...options, maxPayload: options.maxPayload + 1 }, isCompressionAgreed),
  'gives RSV1 a meaning that was not agreed on': (sink, options) => new FrameDecoder(sink, options, true),
  'forgets a Ping without payload': (sink, options, isCompressionAgreed) => new FrameDecoder(Object.assign(Object.create(sink), {
    onPing: (data: Buffer) => { if (data.length > 0) sink.onPing(data) }
  }), options, isCompressionAgreed),
  'takes each chunk for a new frame': (sink, options, isCompressionAgreed) => {
    const decoder = new FrameDecoder(sink, options, isCompressionAgreed)
    const decode = decoder.decode
    decoder.decode = chunk => {
      Object.assign(decoder, { partial: null, partialLength: 0 })
      decode.call(decoder, chunk)
    }
    return decoder
  },
  throws: (sink, options, isCompressionAgreed) => new FrameDecoder(Object.assign(Object.create(sink), {
    onClose: (code: number) => { if (code === 4999) throw new RangeError('no such code') }
  }), options, isCompressionAgreed),
  'keeps what it need not': (sink, options, isCompressionAgreed) => {
    const decoder = new FrameDecoder(sink, options, isCompressionAgreed)
    const kept: Buffer[] = []
    const decode = decoder.decode
    decoder.decode = chunk => {
      kept.push(Buffer.alloc(256))
      decode.call(decoder, chunk)
    }
    return Object.assign(decoder, { kept })
  }
}

for (const [fault, createDecoder] of Object.entries(WRONG)) {
  t.test(`a decoder that ${fault} is found, and its input saved to be tried again`, async t => {
    const folder = await mkdtemp(join(tmpdir(), 'fastify-ws-routes-fuzz-'))
    t.teardown(() => rm(folder, { recursive: true, force: true }))
    let input: Input | null = null
    try {
      await fuzzDecoder(new Inputs(1, corpus.values()), 20_000, createDecoder)
    } catch (error) {
      if (!(error instanceof FuzzFailure)) throw error
      input = error.input
    }
    if (input === null) return t.fail('not found')
    const again = await readInput(await save(input, folder))
    await t.rejects(checkDecoder(again, createDecoder), { name: 'FuzzFailure' })
    await t.resolves(checkDecoder(again))
  })
}

t.test('a server that is wrong, and one that dies, are found', async t => {
  const target = await ServerTarget.start(compiledProgram(new URL('fuzz/ws-server.ts', import.meta.url)))
  t.teardown(() => target.stop())
  await t.resolves(target.checkAll(await readInput(join(CORPUS, 'plain-hello.bin'))))
  await t.rejects(target.checkAll(await readInput(join(CORPUS, 'plain-utf8-fails-fast.bin'))), { message: /missing and not "close 1007"/ })
  await t.rejects(target.check({ mode: 'plain', bytes: text('die') }), { message: /the server ended with 1: [^]*told to die/ })
})
