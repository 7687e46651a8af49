import { Random } from '../../fuzz/random.js'
import {
  LISTENERS, MEMORIES, TRANSPORTS, type Act, type AppPlan, type Broadcast, type ClientEnding, type ClientStep, type Conversation,
  type DeflatePlan, type Moment, type Phase, type Plan, type Rule, type Transport
} from './plan.js'

/** Around the lengths at which a header, a buffer or a way of doing things changes. */
const SIZES = [0, 1, 2, 16, 60, 125, 126, 127, 400, 1023, 1024, 2000, 4096, 8192, 16_383, 16_384, 16_385, 32_767, 32_768, 65_535, 65_536, 100_000, 300_000]

const ACTS = ['send', 'send', 'send', 'send', 'send json', 'ping', 'pong', 'broadcast', 'broadcast', 'broadcast', 'pause', 'pause', 'binaryType', 'observe', 'await', 'await'] as const

/** Rarely: what comes behind them is little. */
const ENDS = ['close', 'close', 'terminate', 'throw', 'throw', 'return', 'close server', 'close app'] as const

/** @param transports those that it may choose from */
export function generate (seed: number, transports: readonly Transport[] = TRANSPORTS): Plan {
  return new Generator(new Random(seed)).plan(transports)
}

class Generator {
  private readonly random: Random
  private ids = 0
  /** How likely the app does what ends a connection: in some plans never. */
  private readonly violence: number
  /** Which of the sizes there are: in most plans no long ones. */
  private readonly sizes: number

  constructor (random: Random) {
    this.random = random
    this.violence = random.pick([0, 0.05, 0.2, 0.4])
    this.sizes = random.pick([8, 12, 16, 19, SIZES.length])
  }

  plan (transports: readonly Transport[]): Plan {
    const { random } = this
    const transport = random.pick(transports)
    const deflate = random.chance(0.6) ? this.deflate() : null
    return {
      transport,
      deflate,
      closeTimeout: random.pick([300, 600, 1500]),
      heartbeat: random.chance(0.2) ? 20 : null,
      errorHandler: random.pick(['none', 'none', 'keeps', 'keeps', 'closes', 'terminates', 'throws', 'rejects', 'thenable']),
      conversations: Array.from({ length: 1 + random.below(4) }, (_, id) => this.conversation(id, deflate !== null, transport)),
      elsewhere: this.some(3, () => ({
        after: random.below(60),
        act: random.chance(this.violence) ? { do: random.pick(['close server', 'close app'] as const) } : this.broadcast()
      }))
    }
  }

  private some<T> (below: number, make: () => T): T[] {
    return Array.from({ length: this.random.below(below) }, make)
  }

  private deflate (): DeflatePlan {
    const { random } = this
    return {
      threshold: random.pick([0, 1, 64, 1024]),
      level: random.pick([1, 3, 6, 9]),
      memLevel: random.pick([1, 5, 8, 9]),
      serverMaxWindowBits: random.pick([9, 10, 12, 15]),
      clientMaxWindowBits: random.pick([9, 10, 12, 15]),
      serverNoContextTakeover: random.chance(0.3),
      clientNoContextTakeover: random.chance(0.3)
    }
  }

  private conversation (id: number, mayDeflate: boolean, transport: Transport): Conversation {
    const { random } = this
    const isInjected = transport.startsWith('inject')
    const isDeflating = mayDeflate && !isInjected && random.chance(0.8)
    const isEarly = !isDeflating && !isInjected && random.chance(0.3)
    const isJson = random.chance(0.15)
    const steps = Array.from({ length: random.below(random.pick([4, 12, 30])) }, () => this.step(isDeflating, isJson))
    return {
      id,
      offer: isDeflating ? this.offer() : null,
      isEarly,
      slices: random.pick(['whole', 'whole', 'random', 'bytes']),
      steps,
      ending: this.ending(isInjected),
      answer: random.pick(['at once', 'at once', 'at once', 'behind its steps', 'behind its steps', 'with FIN', 'never']),
      isJson,
      hook: random.chance(0.3) ? 1 + random.below(20) : 0,
      isHijacked: (transport === 'tcp' || transport === 'tls') && random.chance(0.02),
      app: this.app(isJson)
    }
  }

  private offer (): string {
    const { random } = this
    const parameters: string[] = []
    if (random.chance(0.6)) parameters.push(random.pick(['client_max_window_bits', 'client_max_window_bits=11', 'client_max_window_bits=15']))
    if (random.chance(0.3)) parameters.push(`server_max_window_bits=${random.pick([9, 11, 15])}`)
    if (random.chance(0.2)) parameters.push('server_no_context_takeover')
    if (random.chance(0.2)) parameters.push('client_no_context_takeover')
    return ['permessage-deflate', ...parameters].join('; ')
  }

  private size (): number {
    const { random } = this
    return SIZES[Math.min(random.below(this.sizes), random.below(this.sizes))]!
  }

  private id (): number {
    return ++this.ids
  }

  private step (isDeflating: boolean, isJson: boolean): ClientStep {
    const { random } = this
    switch (random.below(12)) {
      case 0: return { do: 'ping', id: this.id(), size: random.pick([0, 0, 20, 125]) }
      case 1: return { do: random.pick(['ping', 'pong'] as const), id: this.id(), size: 20 }
      case 2: return { do: 'wait', turns: 1 + random.below(random.pick([3, 30])) }
      case 3: return random.chance(0.3) ? { do: 'stop reading', turns: 1 + random.below(40) } : { do: 'wait', turns: 1 }
    }
    return {
      do: 'message',
      id: this.id(),
      size: this.size(),
      isBinary: !isJson && random.chance(0.5),
      isCompressed: isDeflating && random.chance(0.7),
      fragments: random.chance(0.7) ? 1 : 2 + random.below(4),
      pings: random.chance(0.5)
    }
  }

  private ending (isInjected: boolean): ClientEnding {
    const { random } = this
    const how = random.pick(isInjected ? ['close', 'close', 'reset', 'wait'] as const : ['close', 'close', 'close', 'fin', 'reset', 'wait'] as const)
    if (how !== 'close') return { how }
    return { how, ...this.close(), withFin: random.chance(0.2) }
  }

  private close (): { code: number, reason: string } {
    const { random } = this
    const code = random.pick([1005, 1000, 1001, 3000, 4999])
    return { code, reason: code === 1005 ? '' : random.pick(['', 'bye', 'größe', 'x'.repeat(123)]) }
  }

  private app (isJson: boolean): AppPlan {
    const { random } = this
    const handler = random.pick(['async', 'async', 'detached'] as const)
    return {
      handler,
      listensAfter: random.chance(0.5) ? 0 : 1 + random.below(30),
      phases: this.phases(isJson),
      closeListener: random.pick(['at once', 'at once', 'late', 'never']),
      rules: Array.from({ length: random.below(7) }, () => this.rule(isJson))
    }
  }

  private phases (isJson: boolean): Phase[] {
    const { random } = this
    if (random.chance(0.04)) return []
    const kinds = [...LISTENERS, 'on', 'loop', 'loop', ...(isJson ? ['json', 'json', 'json loop', 'json loop'] as const : [])] as const
    const phases: Phase[] = []
    while (random.chance(0.4) && phases.length < 4) {
      const kind = random.pick(kinds)
      phases.push({ kind, count: kind === 'once' ? 1 : random.below(4), busy: this.pauseOf(10), gap: this.pauseOf(20) })
    }
    const last = random.pick([...kinds, 'stream'] as const)
    if (random.chance(0.9)) phases.push({ kind: last === 'once' ? 'on' : last, count: null, busy: this.pauseOf(10), gap: 0 })
    return phases
  }

  private pauseOf (most: number): number {
    return this.random.chance(0.6) ? 0 : 1 + this.random.below(most)
  }

  private rule (isJson: boolean): Rule {
    const { random } = this
    const on = random.pick<Moment>(['open', 'message', 'message', 'message', 'message', 'ping', 'pong', 'drain', 'close', 'close', 'callback', 'turn', 'turn', 'turn'])
    const nth = on === 'turn' ? random.below(80) : on === 'close' || on === 'open' ? 0 : random.below(random.pick([1, 3, 10]))
    const acts = Array.from({ length: 1 + random.below(4) }, () => this.act(isJson))
    if (random.chance(this.violence)) acts.push(this.end())
    return { on, nth, acts }
  }

  private act (isJson: boolean): Act {
    const { random } = this
    const what = random.pick(ACTS)
    switch (what) {
      case 'send': return {
        do: what,
        id: this.id(),
        size: this.size(),
        memory: random.pick(MEMORIES),
        isBinary: random.chance(0.5),
        compress: random.chance(0.8),
        fragments: random.chance(0.85) ? 1 : 2 + random.below(3),
        gap: random.chance(0.7) ? 0 : 1 + random.below(5),
        hasCallback: random.chance(0.4),
        times: random.pick([1, 1, 1, 1, 3, 20])
      }
      case 'send json': return { do: what, id: this.id(), size: this.size(), hasCallback: random.chance(0.4) }
      case 'ping':
      case 'pong': return { do: what, id: this.id(), size: random.pick([20, 125]), hasCallback: random.chance(0.4) }
      case 'broadcast': return this.broadcast()
      case 'pause': return { do: what, turns: random.below(30) }
      case 'binaryType': return { do: what, type: isJson ? 'nodebuffer' : random.pick(['nodebuffer', 'arraybuffer', 'fragments', 'blob']) }
      case 'observe': return { do: what, turns: 1 + random.below(20) }
      case 'await': return { do: what, turns: 1 + random.below(15) }
    }
  }

  private end (): Act {
    const { random } = this
    const what = random.pick(ENDS)
    switch (what) {
      case 'close': {
        const { code, reason } = this.close()
        return { do: what, code: code === 1005 ? null : code, reason }
      }
      case 'throw': return { do: what, how: random.pick(['throw', 'throw', 'reject', 'thenable', 'no error']) }
      case 'return': return { do: what, what: random.pick(['thenable that never settles', 'thenable that throws', 'function']) }
      default: return { do: what }
    }
  }

  private broadcast (): Broadcast {
    const { random } = this
    return {
      do: 'broadcast',
      id: this.id(),
      size: this.size(),
      isBinary: random.chance(0.5),
      compress: random.chance(0.8),
      scope: random.pick(['route', 'server']),
      except: random.pick(['nobody', 'nobody', 'itself', 'some']),
      filter: random.pick(['none', 'none', 'some', 'throws'])
    }
  }
}
