import { generate } from './conversations.js'
import { checkDecoder, type CreateDecoder } from './decoder-target.js'
import { MODES, type Input, type Mode } from './input.js'
import { mutate } from './mutate.js'
import { Random } from './random.js'
import type { ServerTarget } from './server-target.js'

/** Inputs that led to something new are kept, and changed further; so many at most. */
const MOST_KEPT = 400

/** How many of the inputs are conversations as they should be. */
const UNCHANGED = 0.05

/** Inputs that the server gets at the same time. */
const AT_ONCE = 16

const WITH_REQUESTS: readonly Mode[] = ['plain', 'deflate', 'plain', 'http']
/** Over HTTP/2 requests are Node's. */
const FRAMES: readonly Mode[] = ['plain', 'deflate', 'plain', 'deflate']

/** Makes inputs, always the same ones from the same seed and the same corpus. */
export class Inputs {
  private readonly random: Random
  private readonly pools = new Map<Mode, Buffer[]>(MODES.map(mode => [mode, []]))
  private readonly seen = new Set<string>()

  constructor (seed: number, corpus: Iterable<Input>) {
    this.random = new Random(seed)
    for (const { mode, bytes } of corpus) this.pools.get(mode)!.push(bytes)
  }

  next (mode: Mode): Input {
    const { random } = this
    const pool = this.pools.get(mode)!
    const base = pool.length > 0 && random.chance(0.5) ? random.pick(pool) : generate(random, mode).bytes
    if (random.chance(UNCHANGED)) return { mode, bytes: base }
    const other = pool.length > 0 && random.chance(0.5) ? random.pick(pool) : generate(random, mode).bytes
    return { mode, bytes: mutate(base, random, other) }
  }

  /** @param signature what happened with this input */
  note (input: Input, signature: string): void {
    const key = `${input.mode} ${signature}`
    if (this.seen.has(key)) return
    this.seen.add(key)
    const pool = this.pools.get(input.mode)!
    if (pool.length < MOST_KEPT) pool.push(input.bytes)
    else pool[this.random.below(pool.length)] = input.bytes
  }
}

/** Gives the decoder so many inputs. @throws {FuzzFailure} */
export async function fuzzDecoder (inputs: Inputs, runs: number, createDecoder?: CreateDecoder): Promise<void> {
  for (let i = 0; i < runs; i++) {
    const input = inputs.next((['plain', 'deflate', 'client'] as const)[i % 3]!)
    inputs.note(input, await checkDecoder(input, createDecoder))
  }
}

/** Gives the server so many inputs. @throws {FuzzFailure} */
export async function fuzzServer (target: ServerTarget, inputs: Inputs, runs: number): Promise<void> {
  for (let i = 0; i < runs; i += AT_ONCE) {
    const some = Array.from({ length: AT_ONCE }, (_, index) => inputs.next((target.isHttp2 ? FRAMES : WITH_REQUESTS)[index % 4]!))
    await checkTogether(target, some)
  }
}

/** The damage that one input does may show only in another, so the error carries all inputs of the batch. */
export class TogetherError extends AggregateError {
  readonly inputs: readonly Input[]

  constructor (errors: readonly Error[], inputs: readonly Input[]) {
    super(errors, errors.map(({ message }) => message).join('\n'))
    this.inputs = inputs
  }
}

async function checkTogether (target: ServerTarget, inputs: readonly Input[]): Promise<void> {
  const results = await Promise.allSettled(inputs.map(input => target.check(input)))
  const failed = results.flatMap((result, index) => result.status === 'rejected' ? [{ error: result.reason as Error, input: inputs[index]! }] : [])
  if (failed.length > 0) throw new TogetherError(failed.map(({ error }) => error), failed.map(({ input }) => input))
  try {
    await target.checkHonest()
  } catch (error) {
    throw new TogetherError([error as Error], inputs)
  }
}
