import { CASES, CLOSE_REASON, DIGITS, EXPECTED, PING, REFUSALS, refusalBody, type Case, type Outcome } from './cases.js'
import type { Visit } from './server.js'
import type { Conversation, Direction } from './wire.js'

/** The columns of the table in docs/interoperability.md, behind those for name and version. */
export const COLUMNS = [
  'text, binary, empty, 300 KB', 'sends fragments', 'gets fragments', 'sends compressed', 'gets compressed', 'pings', 'answers Pings',
  'closes with a reason', 'is closed with a reason', 'sees a refusal\'s'
] as const

export type Column = typeof COLUMNS[number]

export interface Verdict {
  cells: Record<Column, string>
  /** Why a cell is a dash, in the client's words. */
  reasons: Partial<Record<Column, string>>
  failures: string[]
  /** The cases without a failure that the client did. */
  passed: string[]
}

/** What is known of one run of a client program. */
export interface Evidence {
  /** By case, and by `REMARKS`. */
  outcomes: Map<string, Outcome>
  visits: Visit[]
  conversations: Conversation[]
}

/** Beside the cases, what a client does otherwise says its program: it inflates but does not deflate; its Close frame is none. */
const REMARKS = ['asking', 'compressing', 'inflating', 'answering']

export const YES = '✓'
export const NO = '–'

const OPCODES = { continuation: 0, text: 1, binary: 2, ping: 9 }
const RSV1 = 0x40

function isSame (left: string | Buffer | undefined, right: string | Buffer): boolean {
  return typeof right === 'string' ? left === right : Buffer.isBuffer(left) && left.equals(right)
}

const compressedMessages = ({ frames }: Direction): number => frames.filter(frame => (frame.rsv & RSV1) !== 0).length

const isFragmented = ({ frames }: Direction): boolean =>
  frames.some(({ opcode, fin }) => opcode === OPCODES.text && !fin) && frames.some(({ opcode, fin }) => opcode === OPCODES.continuation && fin)

/** What the client said about each case, against what the server saw and what went over the wire. */
export async function judge ({ outcomes, visits, conversations }: Evidence): Promise<Verdict> {
  const failures: string[] = []
  const failed = new Set<string>()
  const cells = Object.fromEntries(COLUMNS.map(column => [column, YES])) as Verdict['cells']
  const reasons: Verdict['reasons'] = {}
  const check = (name: string, isTrue: boolean, what: string): void => {
    if (isTrue) return
    failures.push(`${name}: ${what}`)
    failed.add(name)
  }
  const cannot = (column: Column, reason: string): void => {
    cells[column] = NO
    reasons[column] = reason
  }
  /** The client says that it did this case; what both sides know of it. */
  const done = (name: Case): { outcome: Outcome, visit: Visit | undefined, conversation: Conversation | undefined } | null => {
    const outcome = outcomes.get(name)
    check(name, outcome !== undefined, 'the client said nothing')
    if (outcome === undefined) return null
    check(name, outcome.error === undefined, `the client said: ${outcome.error}`)
    if (outcome.error !== undefined) return null
    const visit = visits.findLast(({ path }) => path === name)
    return { outcome, visit, conversation: conversations.findLast(({ path }) => path === name) }
  }
  /** As `done`, for what a client may be unable to do. */
  const able = (name: Case, column: Column): ReturnType<typeof done> => {
    const facts = done(name)
    if (facts?.outcome.cannot === undefined) return facts
    cannot(column, facts.outcome.cannot)
    return null
  }

  for (const [name, messages] of Object.entries(EXPECTED) as [Case, (string | Buffer)[]][]) {
    if (outcomes.get(name)?.cannot !== undefined) continue
    const arrived = visits.findLast(({ path }) => path === name)?.messages ?? []
    check(name, arrived.length === messages.length, `${arrived.length} messages arrived at the server, ${messages.length} were expected`)
    messages.forEach((message, i) => check(name, isSame(arrived[i], message), `message ${i} is another one at the server`))
  }

  for (const name of ['text', 'binary', 'empty', 'large'] as const) {
    const facts = done(name)
    const asking = outcomes.get('asking')
    if (asking?.cannot !== undefined) reasons[COLUMNS[0]] = asking.cannot
    if (facts?.outcome.cannot === undefined) continue
    cells[COLUMNS[0]] = `${NO} (${name})`
    reasons[COLUMNS[0]] = facts.outcome.cannot
  }

  const fragments = able('fragments', 'sends fragments')
  if (fragments !== null) check('fragments', isFragmented(fragments.conversation!.fromClient), 'the client sent the message in one frame')
  const fragmented = able('fragmented', 'gets fragments')
  if (fragmented !== null) check('fragmented', isFragmented(fragmented.conversation!.fromServer), 'the server sent the message in one frame')
  const cut = done('cut')
  if (fragmented !== null && cut?.outcome.cannot !== undefined) reasons['gets fragments'] = cut.outcome.cannot

  const compressed = done('compressed')
  if (compressed?.outcome.cannot !== undefined) {
    cannot('sends compressed', compressed.outcome.cannot)
    cannot('gets compressed', compressed.outcome.cannot)
  } else if (compressed?.conversation !== undefined) {
    const { fromClient, fromServer } = compressed.conversation
    const count = EXPECTED.compressed!.length
    check('compressed', compressedMessages(fromServer) === count, `the server compressed ${compressedMessages(fromServer)} of ${count} messages`)
    const bytes = fromServer.frames.reduce((sum, frame) => sum + frame.payload.length, 0)
    check('compressed', bytes < DIGITS.length, `${bytes} bytes came from the server`)
    const inflating = outcomes.get('inflating')
    if (inflating?.cannot !== undefined) reasons['gets compressed'] = inflating.cannot
    const compressing = outcomes.get('compressing')
    if (compressing?.cannot !== undefined) cannot('sends compressed', compressing.cannot)
    else check('compressed', compressedMessages(fromClient) > 0, 'the client compressed nothing')
  }

  const ping = able('ping', 'pings')
  if (ping !== null) check('ping', ping.conversation!.fromClient.frames.some(({ opcode }) => opcode === OPCODES.ping), 'the client sent no Ping')
  const pong = able('pong', 'answers Pings')
  if (pong !== null) check('pong', pong.visit?.pong === PING, `the Pong had ${JSON.stringify(pong.visit?.pong)}`)

  const close = able('close', 'closes with a reason')
  if (close !== null) {
    const seen = await close.visit?.closed
    check('close', seen?.code === 4001 && seen.reason === CLOSE_REASON, `the server saw ${JSON.stringify(seen)}`)
    const { code, reason } = close.outcome
    if (code !== undefined) check('close', code === 4001, `the client saw the code ${code}`)
    if (reason !== undefined) check('close', reason === CLOSE_REASON, `the client saw the reason ${JSON.stringify(reason)}`)
  }

  const closed = able('closed', 'is closed with a reason')
  if (closed !== null) {
    const { code, reason } = closed.outcome
    check('closed', code === 4002 && reason === 'that is all, 再见', `the client saw ${code} ${JSON.stringify(reason)}`)
    const seen = await closed.visit?.closed
    const answering = outcomes.get('answering')
    if (answering?.cannot !== undefined) reasons['is closed with a reason'] = answering.cannot
    else check('closed', seen?.code !== 1006, 'the client did not answer the Close frame')
  }

  const told = new Set<string>()
  for (const status of REFUSALS) {
    const name = `refused/${status}` as const
    const facts = done(name)
    if (facts === null) continue
    const { conversation, outcome } = facts
    check(name, conversation?.status === status, `the server answered ${conversation?.status}`)
    if (outcome.status !== undefined) check(name, outcome.status === status, `the client saw ${outcome.status}`)
    if (outcome.body !== undefined) check(name, outcome.body === refusalBody(status), `the client saw the body ${JSON.stringify(outcome.body)}`)
    told.add(outcome.status === undefined ? 'failure' : outcome.body === undefined ? 'status' : 'status, body')
  }
  cells[COLUMNS.at(-1)!] = [...told].join(' or ')

  for (const name of outcomes.keys()) check(name, REMARKS.includes(name) || (CASES as readonly string[]).includes(name), 'no such case')
  const passed = CASES.filter(name => outcomes.get(name)?.cannot === undefined && !failed.has(name))
  return { cells, reasons, failures, passed }
}
