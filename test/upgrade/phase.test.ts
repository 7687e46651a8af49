import t from 'tap'
import { isOver, nextPhase, PHASE_EVENTS, PHASES, type Phase, type PhaseEvent } from '../../lib/upgrade/phase.js'

t.test('how an upgrade may go', async t => {
  const COURSES: Array<[name: string, events: PhaseEvent[], phase: Phase]> = [
    ['the route accepts', ['turn', 'accept', 'acceptanceWritten'], 'accepted'],
    ['a hook refuses', ['turn', 'refusalWritten'], 'refused'],
    ['a hook refuses, the client leaves', ['turn', 'refusalWritten', 'close'], 'closed'],
    ['a hook answers with the status that accepts', ['turn', 'acceptanceWritten'], 'refused'],
    ['the route accepts, a hook sets another status', ['turn', 'accept', 'refusalWritten'], 'refused'],
    ['the route accepts, a hook fails', ['turn', 'accept', 'withdraw', 'acceptanceWritten'], 'refused'],
    ['a hook hijacks', ['turn', 'hijack'], 'hijacked'],
    ['a hook hijacks behind the acceptance', ['turn', 'accept', 'hijack', 'acceptanceWritten', 'close'], 'hijacked'],
    ['the app closes before the turn', ['expire', 'expire', 'turn', 'refusalWritten'], 'refused'],
    ['the time is over during a hook', ['turn', 'expire', 'refusalWritten', 'accept'], 'refused'],
    ['the client leaves before the turn', ['close', 'turn'], 'closed'],
    ['the client leaves during a hook', ['turn', 'close', 'accept', 'acceptanceWritten'], 'closed'],
    ['the client leaves before the acceptance is written', ['turn', 'accept', 'close', 'acceptanceWritten'], 'closed'],
    ['the connection closes', ['turn', 'accept', 'acceptanceWritten', 'close'], 'accepted']
  ]
  for (const [name, events, expected] of COURSES) {
    t.equal(events.reduce<Phase>((phase, event) => nextPhase(phase, event) ?? phase, 'waiting'), expected, name)
  }
})

t.test('an upgrade is over once, and for good', async t => {
  for (const phase of PHASES) {
    const nexts = PHASE_EVENTS.map(event => nextPhase(phase, event)).filter(next => next !== null)
    t.equal(isOver(phase), nexts.length === 0, `${phase}: over if nothing leads out of it`)
    if (!isOver(phase)) t.equal(nextPhase(phase, 'close'), 'closed', `${phase}: a client may leave at any time`)
  }
})

t.test('a socket is given away only behind an answer or by a hook', async t => {
  for (const phase of PHASES) {
    for (const event of PHASE_EVENTS) {
      const next = nextPhase(phase, event)
      if (next === 'accepted') t.same([phase, event], ['accepting', 'acceptanceWritten'])
      if (next === 'hijacked') t.ok(phase === 'answering' || phase === 'accepting', `${phase}, ${event}`)
      if (phase === 'refused' && next !== null) t.equal(next, 'closed', `refused, ${event}`)
    }
  }
})
